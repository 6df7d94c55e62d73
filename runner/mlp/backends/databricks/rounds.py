"""Which questions a round of looking after runs needs. Pure: numbers in, numbers out.

A request lists a page of active runs, of everybody's, or tells of one run. Many runs of ours are found on few pages,
unless others have many more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.pacing import RATES, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Listing", "due", "pages_worth", "pause"]

_FEW: Final = 8
"""Runs up to which nothing is listed."""
_MEMORY: Final = 10
"""Rounds after which it is tried again whether listing is worth it."""
_LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Listing:
    """How listing went when it was last tried.

    Attributes:
        pages: How many pages it took, or would take at least.
        rounds: How many rounds ago that was.
    """

    pages: int
    rounds: int = 0


def due(times: Mapping[int, float], now: float, slack: float) -> tuple[int, ...]:
    """The runs to look after now, which are none before the first one is due. What is due soon goes with it."""
    if not times or min(times.values()) > now:
        return ()
    return tuple(run_id for run_id, at in times.items() if at <= now + slack)


def pages_worth(runs: Collection[int], last: Listing | None) -> int:
    """How many pages of active runs may be read before asking for each run is cheaper. 0: ask for each at once.

    Args:
        runs: Those to look after.
        last: How it went before.
    """
    if len(runs) <= _FEW:
        return 0
    # Either way the same time, at the pace that each kind of request has.
    worth = math.ceil(len(runs) * RATES[Kind.LIST].per_second / RATES[Kind.GET].per_second)
    if last is not None and last.rounds < _MEMORY and last.pages > worth:
        return 0
    return worth


def pause(failures: int, after: float, period: float) -> float:
    """Seconds to leave a workspace alone, after so many rounds in a row that it did not answer.

    Args:
        failures: Rounds in a row, from 1.
        after: What the workspace asks for.
        period: The usual time between rounds.
    """
    grown = min(period * 2.0 ** min(failures - 1, 20), max(period, _LONGEST_PAUSE))
    return max(after, grown)
