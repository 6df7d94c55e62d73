"""How measured times are spread. Knows nothing of what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Spread", "percentile"]


def percentile(values: Iterable[float], fraction: float) -> float:
    """The smallest value that at least this fraction of the values does not exceed (nearest rank).

    No value is made up: of 100 values the 0.99 percentile is the second largest.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """The percentiles that are worth a column."""

    count: int
    p50: float
    p99: float
    largest: float

    @classmethod
    def of(cls, values: Iterable[float], *, scale: float = 1.0) -> Spread:
        """The spread of some values, each multiplied by `scale`."""
        kept = [value * scale for value in values]
        return cls(len(kept), percentile(kept, 0.5), percentile(kept, 0.99), max(kept))
