"""Which events a change of status is worth. Pure: two statuses in, events out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.resources import ConditionType, EventReason, Phase, Reason
from mlp_operator.machinery.events import Event

if TYPE_CHECKING:
    from mlp.resources import ProjectRunStatus

__all__ = ["events_between"]

_ENDS: Final = {
    Phase.SUCCEEDED: EventReason.RUN_SUCCEEDED,
    Phase.FAILED: EventReason.RUN_FAILED,
    Phase.CANCELLED: EventReason.RUN_CANCELLED,
}
_DEADLINES: Final = (Reason.DEADLINE_EXCEEDED, Reason.PENDING_DEADLINE_EXCEEDED)


def events_between(before: ProjectRunStatus, after: ProjectRunStatus) -> list[Event]:
    """Say what has happened between two statuses of a run, in order."""
    events: list[Event] = []
    outcome = after.condition(ConditionType.SUCCEEDED)
    previous = before.condition(ConditionType.SUCCEEDED)
    if outcome is None:
        return events
    resolved, was_resolved = after.condition(ConditionType.RESOLVED), before.condition(ConditionType.RESOLVED)
    if resolved is not None and (was_resolved is None or was_resolved.status != resolved.status):
        if resolved.status == "True":
            events.append(Event("Normal", EventReason.PROJECT_RESOLVED, resolved.message))
        elif resolved.status == "False":
            events.append(Event("Warning", EventReason.PROJECT_RESOLUTION_FAILED, outcome.message))
    if previous is not None and previous.status == outcome.status and previous.reason == outcome.reason:
        return events
    if before.phase == Phase.SUSPENDED and after.phase != Phase.SUSPENDED:
        events.append(Event("Normal", EventReason.RUN_RESUMED, "spec.suspend is false again"))
    match after.phase:
        case Phase.RUNNING:
            pod = after.kubernetes.pod_name if after.kubernetes is not None else None
            events.append(Event("Normal", EventReason.RUN_STARTED, f"The command runs in pod {pod}"))
        case Phase.SUSPENDED:
            events.append(Event("Normal", EventReason.RUN_SUSPENDED, outcome.message))
        case Phase.SUCCEEDED | Phase.FAILED | Phase.CANCELLED:
            phase = Phase(after.phase)
            good = phase == Phase.SUCCEEDED
            reason = EventReason.DEADLINE_EXCEEDED if outcome.reason in _DEADLINES else _ENDS[phase]
            text = outcome.message if good else f"{outcome.reason}: {outcome.message}"
            events.append(Event("Normal" if phase != Phase.FAILED else "Warning", reason, text))
        case Phase.PENDING if outcome.reason == Reason.RETRYING:
            events.append(Event("Warning", EventReason.RUN_RETRYING, outcome.message))
    if outcome.reason == Reason.JOB_DELETED:
        events.insert(0, Event("Warning", EventReason.JOB_DELETED, "The Job was deleted, not by mlp"))
    return events
