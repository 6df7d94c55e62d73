"""What to do about a run: wanted and observed in, actions and a status out. Pure; the clock is an argument.

Everything is derived from what is there now, so it does not matter which event led here, whether it came twice, or
whether another process did the step before. Where an action changes what is observed (a Job was created), the caller
observes and decides again; nothing is remembered between two passes but what stands in the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlp.resources import ConditionType, Phase, Reason, names
from mlp_operator.runs.actions import Decision, Observed, ReleasePods, Rules
from mlp_operator.runs.deadlines import pending_deadline, too_late
from mlp_operator.runs.delegating import delegated
from mlp_operator.runs.ending import after_the_end, during_deletion
from mlp_operator.runs.pods import held, left
from mlp_operator.runs.reporting import say, sooner
from mlp_operator.runs.situation import Situation
from mlp_operator.runs.submitting import toward_job
from mlp_operator.runs.supervising import HELD, with_job

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun

__all__ = ["decide"]

Object = dict[str, Any]

_CANCELLED: Final = "The run was shut down, as spec.shutdown asks, and no pod of it is left."


def decide(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """Compare what is wanted with what is there.

    Args:
        run: The resource, status included.
        observed: What is there.
        now: The present moment, with a zone.
        rules: The operator's settings.
    """
    if run.spec.managed_by not in (None, names.MANAGED_BY):
        return Decision()
    if run.spec.backend.type == "Databricks":
        return delegated(run, observed, now, rules)
    if run.being_deleted:
        return during_deletion(run, observed, now, rules)
    if run.finished:
        return after_the_end(run, observed, now, rules)
    if (superfluous := _superfluous(observed.pods)) is not None:
        return Decision(actions=(superfluous,))
    if observed.job is None:
        return _without_job(run, observed, now, rules)
    return with_job(run, observed.job, observed, now, rules)


def _superfluous(pods: tuple[Object, ...]) -> ReleasePods | None:
    """Pods of earlier attempts, and such as were taken away: the run itself is what MLflow will be told about."""
    newest = pods[-1]["metadata"]["uid"] if pods else None
    gone = tuple(
        pod
        for pod in pods
        if held(pod) and left(pod) and ("deletionTimestamp" in pod["metadata"] or pod["metadata"]["uid"] != newest)
    )
    return ReleasePods(gone) if gone else None


def _without_job(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    stored = run.status
    had_job = stored.kubernetes is not None and stored.kubernetes.job_uid is not None
    # A queued run is held by taking its Job away: whether that may run is its queue's to say, not ours.
    queued = run.spec.queue_name is not None or stored.condition(ConditionType.ADMITTED) is not None
    given_up = had_job and queued and stored.phase == Phase.SUSPENDED
    if run.spec.shutdown is not None:
        if observed.pods:
            return Decision()  # their last event leads here again
        return say(run, Situation(Phase.CANCELLED, Reason.CANCELLED, _CANCELLED), observed, now, rules)
    if given_up and observed.pods:
        return Decision()
    if had_job and not given_up:
        attempts = stored.attempts or 1
        if attempts > run.spec.backoff_limit:
            text = (
                f"The Job {run.name} was deleted, not by mlp, and spec.backoffLimit ({run.spec.backoff_limit}) allows "
                "no other attempt. Create a new ProjectRun to run it again; to cancel a run, set spec.shutdown."
            )
            return say(run, Situation(Phase.FAILED, Reason.JOB_DELETED, text), observed, now, rules)
        if observed.pods:
            text = "The Job was deleted, not by mlp. It is made again as soon as its pods are gone."
            return say(run, Situation(Phase.PENDING, Reason.JOB_DELETED, text), observed, now, rules)
    if run.spec.suspend:
        held_back = Situation(Phase.SUSPENDED, Reason.SUSPENDED, HELD)
        return say(run, held_back, observed, now, rules, job_given_up=given_up)
    if (late := pending_deadline(run, now)) is not None and late <= 0:
        return say(run, too_late(run), observed, now, rules)
    used = 0 if stored.attempts is None else stored.attempts - (0 if had_job and not given_up else 1)
    decision = toward_job(run, observed, now, rules, attempts_before=max(0, used))
    return sooner(decision, late)
