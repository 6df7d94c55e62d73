"""Until when a run must have started. Pure; the clock is an argument."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mlp.resources import ConditionType, Phase, Reason
from mlp_operator.runs.pods import Situation

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun

__all__ = ["pending_deadline", "too_late", "until"]


def until(start: datetime, seconds: float, now: datetime) -> float:
    """Seconds from now until so many seconds after the start; not positive once they are over."""
    return (start + timedelta(seconds=seconds) - now).total_seconds()


def pending_deadline(run: ProjectRun, now: datetime) -> float | None:
    """Seconds until the command has to have started; None without such a limit, and once it has."""
    initialized = run.status.condition(ConditionType.INITIALIZED)
    if initialized is not None and initialized.status == "True":
        return None
    limit = run.spec.pending_deadline_seconds
    if limit is None or run.created is None:
        return None
    # The time in which the user held the run is not its own.
    held = run.status.condition(ConditionType.SUSPENDED)
    if held is None:
        return until(run.created, limit, now)
    return limit if held.status == "True" else until(held.last_transition_time, limit, now)


def too_late(run: ProjectRun) -> Situation:
    """What is said of a run that has not started in time."""
    before = run.status.condition(ConditionType.SUCCEEDED)
    last = f" The last that was known: {before.message}" if before is not None and before.message else ""
    text = (
        f"The command had not started {run.spec.pending_deadline_seconds} s after the run's {_beginning(run)}, as "
        f"spec.pendingDeadlineSeconds demands.{last}"
    )
    return Situation(Phase.FAILED, Reason.PENDING_DEADLINE_EXCEEDED, text)


def _beginning(run: ProjectRun) -> str:
    return "creation" if run.status.condition(ConditionType.SUSPENDED) is None else "resumption"
