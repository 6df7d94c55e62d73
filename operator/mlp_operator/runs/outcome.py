"""How the look-up of a run's project stands. Values only: what decides must not know what looks up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlp_operator.runs.planning import Resolved

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Outcome", "Refused", "Unavailable", "Working"]


@dataclass(frozen=True, slots=True)
class Working:
    """The look-up goes on."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """A mistake of the user; asking again would give the same."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The look-up failed for reasons that may pass."""

    reason: str
    message: str
    retry_at: datetime


Outcome = Working | Resolved | Refused | Unavailable
