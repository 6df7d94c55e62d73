"""What becomes of a finished run: its Job, and the run itself, go when they have had their time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.resources import ConditionType, Reason
from mlp_operator.runs.actions import Action, Decision, DeleteJob, DeleteRun, Observed
from mlp_operator.runs.deadlines import until

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun

__all__ = ["expire"]

_POINTLESS: Final = (Reason.PENDING_DEADLINE_EXCEEDED, Reason.CANCELLED, Reason.JOB_CONFLICT)


def expire(run: ProjectRun, observed: Observed, now: datetime) -> Decision:
    """A finished run: clean up what has had its time."""
    ended = run.status.completion_time
    if ended is None:
        return Decision()
    waits: list[float] = []
    actions: list[Action] = []
    if (ttl := run.spec.ttl_seconds_after_finished) is not None:
        if (wait := until(ended, ttl, now)) <= 0:
            return Decision(actions=(DeleteRun(),))
        waits.append(wait)
    job = observed.job
    if job is not None and "deletionTimestamp" not in job["metadata"]:
        outcome = run.status.condition(ConditionType.SUCCEEDED)
        keep = None
        if outcome is not None and outcome.reason in _POINTLESS:
            keep = 0  # its pod still waits for a start that would come too late, or should not
        elif run.spec.retention is not None:
            succeeded = outcome is not None and outcome.status == "True"
            retention = run.spec.retention
            keep = retention.job_seconds_after_success if succeeded else retention.job_seconds_after_failure
        if keep is not None:
            if (wait := until(ended, keep, now)) <= 0:
                actions.append(DeleteJob(job))
            else:
                waits.append(wait)
    return Decision(actions=tuple(actions), again_after=min(waits, default=None))
