"""Which events a change of status is worth. Pure: two statuses in, events out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.resources import ConditionType, EventReason, Phase, Reason
from mlp_operator.machinery.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.resources import Condition, ProjectRunStatus

__all__ = ["events_between"]

_DEADLINES: Final = (Reason.DEADLINE_EXCEEDED, Reason.PENDING_DEADLINE_EXCEEDED)


def events_between(before: ProjectRunStatus, after: ProjectRunStatus) -> list[Event]:
    """Say what has happened between two statuses of a run, in order."""
    outcome, previous = after.condition(ConditionType.SUCCEEDED), before.condition(ConditionType.SUCCEEDED)
    if outcome is None:
        return []
    events = [*_of_resolution(before, after, outcome), *_of_job(before, after, outcome)]
    events += _of_databricks(before, after, outcome)
    events += _of_queue(before, after)
    if previous is None or (previous.status, previous.reason) != (outcome.status, outcome.reason):
        events += _of_outcome(before, after, outcome)
    return events


def _of_resolution(before: ProjectRunStatus, after: ProjectRunStatus, outcome: Condition) -> Iterator[Event]:
    resolved, was = after.condition(ConditionType.RESOLVED), before.condition(ConditionType.RESOLVED)
    if resolved is None or (was is not None and was.status == resolved.status):
        return
    if resolved.status == "True":
        yield Event("Normal", EventReason.PROJECT_RESOLVED, resolved.message)
    elif resolved.status == "False" and after.phase == Phase.FAILED and outcome.reason not in _DEADLINES:
        yield Event("Warning", EventReason.PROJECT_RESOLUTION_FAILED, outcome.message)


def _of_job(before: ProjectRunStatus, after: ProjectRunStatus, outcome: Condition) -> Iterator[Event]:
    job, had, previous = after.kubernetes, before.kubernetes, before.condition(ConditionType.SUCCEEDED)
    known = had.job_uid if had is not None else None
    replaced = job is not None and known is not None and job.job_uid != known
    told = previous is not None and previous.reason == Reason.JOB_DELETED
    if (outcome.reason == Reason.JOB_DELETED or replaced) and not told:
        yield Event("Warning", EventReason.JOB_DELETED, "The Job was deleted, not by mlp")
    if job is not None and job.job_uid is not None and job.job_uid != known:
        yield Event("Normal", EventReason.JOB_CREATED, f"Created Job {job.job_name}")


def _of_databricks(before: ProjectRunStatus, after: ProjectRunStatus, outcome: Condition) -> Iterator[Event]:
    there, was = after.databricks, before.databricks
    known = was.run_id if was is not None else None
    if there is not None and there.run_id is not None and there.run_id != known:
        page = f": {there.run_page_url}" if there.run_page_url else ""
        yield Event("Normal", EventReason.DATABRICKS_RUN_SUBMITTED, f"Run {there.run_id} on Databricks{page}")
    # A run may also have failed by itself meanwhile, or nobody could find out what became of it.
    ended = after.phase in (Phase.SUSPENDED, Phase.CANCELLED) or outcome.reason in _DEADLINES
    asked = known is not None and was is not None and was.cancel_reason is not None
    if asked and ended and before.phase != after.phase:
        yield Event("Normal", EventReason.DATABRICKS_RUN_CANCELLED, f"Run {known} on Databricks was cancelled")


def _of_queue(before: ProjectRunStatus, after: ProjectRunStatus) -> Iterator[Event]:
    admitted, was = after.condition(ConditionType.ADMITTED), before.condition(ConditionType.ADMITTED)
    if admitted is None or after.phase in (Phase.SUSPENDED, Phase.CANCELLED):
        return
    if admitted.status == "False" and (was is None or was.status != "False"):
        yield Event("Normal", EventReason.RUN_QUEUED, admitted.message)
    elif admitted.status == "True" and (was is None or was.status != "True"):
        yield Event("Normal", EventReason.RUN_ADMITTED, admitted.message)


def _of_outcome(before: ProjectRunStatus, after: ProjectRunStatus, outcome: Condition) -> Iterator[Event]:
    if before.phase == Phase.SUSPENDED and outcome.status == "Unknown" and after.phase != Phase.SUSPENDED:
        yield Event("Normal", EventReason.RUN_RESUMED, "spec.suspend is false again")
    match after.phase:
        case Phase.RUNNING if before.phase != Phase.RUNNING:
            yield Event("Normal", EventReason.RUN_STARTED, _where(after))
        case Phase.SUSPENDED:
            yield Event("Normal", EventReason.RUN_SUSPENDED, outcome.message)
        case Phase.SUCCEEDED:
            yield Event("Normal", EventReason.RUN_SUCCEEDED, outcome.message)
        case Phase.CANCELLED:
            yield Event("Normal", EventReason.RUN_CANCELLED, outcome.message)
        case Phase.FAILED:
            reason = EventReason.DEADLINE_EXCEEDED if outcome.reason in _DEADLINES else EventReason.RUN_FAILED
            yield Event("Warning", reason, f"{outcome.reason}: {outcome.message}")
        case Phase.PENDING if outcome.reason == Reason.RETRYING:
            yield Event("Warning", EventReason.RUN_RETRYING, outcome.message)


def _where(status: ProjectRunStatus) -> str:
    if status.databricks is not None:
        return f"The command runs on Databricks, in run {status.databricks.run_id}"
    return f"The command runs in pod {status.kubernetes.pod_name if status.kubernetes is not None else None}"
