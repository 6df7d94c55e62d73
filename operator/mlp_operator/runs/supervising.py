"""A run whose Job is there: what its pods say, what the user or a queue makes of it, what is worth a write. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import ConditionType, Phase, Reason, names
from mlp.resources.plan import Plan
from mlp_operator.runs import status as status_of
from mlp_operator.runs.actions import (
    Action,
    Decision,
    DeleteJob,
    DeletePods,
    Observed,
    Requeue,
    Rules,
    SuspendJob,
)
from mlp_operator.runs.deadlines import pending_deadline, too_late
from mlp_operator.runs.job import plan_of
from mlp_operator.runs.pods import left
from mlp_operator.runs.reporting import follow_up, if_changed, say, sooner
from mlp_operator.runs.situation import Reading, Situation, read_job

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun

__all__ = ["HELD", "with_job"]

Object = dict[str, Any]

HELD: Final = "The run is held until spec.suspend becomes false."

_LOOK_AGAIN: Final = 12.0
_PATIENT: Final = 30
_QUIET: Final = (Reason.SUBMITTED, Reason.FETCHING, Reason.BUILDING_ENVIRONMENT)
_STAGES: Final = (Reason.FETCHING, Reason.BUILDING_ENVIRONMENT)


def with_job(run: ProjectRun, job: Object, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """Decide about a run whose Job is there.

    Args:
        run: The run.
        job: Its Job.
        observed: What else is there.
        now: The present moment.
        rules: The operator's settings.
    """
    plan = _plan(job)
    if plan is None:
        text = f"The Job {run.name} carries no readable {names.PLAN_ANNOTATION}: it was not made by mlp, or changed."
        return say(run, Situation(Phase.FAILED, Reason.JOB_CONFLICT, text), observed, now, rules)
    reading = read_job(job, observed.pods, backoff_limit=run.spec.backoff_limit, planned=plan.steps)
    deleting = "deletionTimestamp" in job["metadata"]
    if run.spec.shutdown is not None and not reading.situation.finished:
        return _cancel(run, job, observed, deleting=deleting)
    if deleting and reading.situation.phase != Phase.SUCCEEDED:
        return Decision()  # what its pods say now is the deletion's doing; when it is gone, JobDeleted tells
    steered = reading if reading.situation.finished else _steered(run, job, reading)
    if isinstance(steered, Decision):
        return steered
    reading = steered
    waits = not reading.started and reading.situation.phase in (Phase.PREPARING, Phase.PENDING, Phase.QUEUED)
    late = pending_deadline(run, now) if waits and reading.attempts == 1 else None
    if late is not None and late <= 0:
        reading = replace(reading, situation=too_late(run), completed=now)
    if (
        not reading.started
        and not reading.situation.finished
        and (hindrance := _hindrance(observed, reading)) is not None
    ):
        reading = replace(reading, situation=hindrance)
    queue = _queue(run, job)
    held_back = run.spec.suspend and queue is not None and not reading.situation.finished
    wait = _not_worth_a_write(run, job, reading, now, rules)
    if wait is not None:
        decision = sooner(Decision(again_after=wait or None), late)
        return sooner(decision, _LOOK_AGAIN) if reading.since is None else decision
    recorded = follow_up(run, reading.situation, observed, now, rules, plan=plan, reading=reading)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return sooner(Decision(again_after=recorded.hold), late)
    wanted = status_of.with_job(
        run.status,
        replace(reading, situation=_steady(run, reading.situation)),
        job=job,
        plan=plan,
        generation=run.metadata.generation,
        now=now,
        record=recorded.record,
        admitted=None if queue is None else not job["spec"].get("suspend"),
    )
    taken: tuple[Action, ...] = (DeleteJob(job),) if held_back else ()
    decision = Decision(actions=taken, status=if_changed(run, wanted), again_after=recorded.again)
    return sooner(decision, late)


def _steered(run: ProjectRun, job: Object, reading: Reading) -> Reading | Decision:
    """What spec.suspend, or the run's queue, makes of a run that goes on."""
    suspended, queue = bool(job["spec"].get("suspend")), _queue(run, job)
    if queue is None:
        if run.spec.suspend:
            if not suspended:
                return Decision(actions=(SuspendJob(suspend=True),))
            return Reading(Situation(Phase.SUSPENDED, Reason.SUSPENDED, HELD), attempts=reading.attempts)
        return Decision(actions=(SuspendJob(suspend=False),)) if suspended else reading
    if run.spec.suspend:
        return Reading(Situation(Phase.SUSPENDED, Reason.SUSPENDED, HELD), attempts=reading.attempts)
    if not suspended:
        return reading
    if _label(job) != queue:
        return Decision(actions=(Requeue(queue),))
    text = f"The queue {queue} has not granted quota yet."
    return Reading(Situation(Phase.QUEUED, Reason.WAITING_FOR_QUOTA, text), attempts=reading.attempts)


def _queue(run: ProjectRun, job: Object) -> str | None:
    """The queue that says when a Job may run.

    Kueue puts what names none into the namespace's queue "default", if there is one; to let such a Job go on would be
    to fight with it.
    """
    return run.spec.queue_name or _label(job)


def _label(job: Object) -> str | None:
    labels: dict[str, str] = job["metadata"].get("labels") or {}
    return labels.get(names.QUEUE_LABEL) or None


def _hindrance(observed: Observed, reading: Reading) -> Situation | None:
    """What keeps a pod from its start, where that is known from elsewhere than the pod."""
    if reading.pod is not None:
        return observed.hindrance
    if observed.pod_refusal is None:
        return None
    text = f"The cluster does not take the run's pod: {observed.pod_refusal}"
    return Situation(Phase.PREPARING, Reason.POD_REFUSED, text)


def _cancel(run: ProjectRun, job: Object, observed: Observed, *, deleting: bool) -> Decision:
    """Ask for the end; it is reported when no pod is left."""
    actions: list[Action] = [] if deleting else [DeleteJob(job)]
    if run.spec.shutdown == "Terminate":
        patient = tuple(
            pod
            for pod in observed.pods
            if not left(pod) and pod["metadata"].get("deletionGracePeriodSeconds", _PATIENT) > 1
        )
        actions += [DeletePods(patient)] if patient else []
    return Decision(actions=tuple(actions))


def _plan(job: Object) -> Plan | None:
    text = plan_of(job)
    try:
        return None if text is None else Plan.from_json(text)
    except ValueError:
        return None


def _not_worth_a_write(run: ProjectRun, job: Object, reading: Reading, now: datetime, rules: Rules) -> float | None:
    """Whether a start that goes well may go on unreported: 0, or the seconds until it may not; None if not at all."""
    stored, outcome = run.status, run.status.condition(ConditionType.SUCCEEDED)
    known = stored.kubernetes is not None and stored.kubernetes.job_uid == job["metadata"]["uid"]
    same = known and stored.observed_generation == run.metadata.generation
    if not reading.situation.minor or not same or outcome is None or outcome.reason not in _QUIET:
        return None
    stage = reading.situation.reason in _STAGES and reading.situation.reason != outcome.reason
    if stage and reading.since is not None:
        left = rules.progress_delay - (now - reading.since).total_seconds()
        return left if left > 0 else None
    return 0.0


def _steady(run: ProjectRun, situation: Situation) -> Situation:
    """Kubelet words one failing pull in turns as error and as back-off; the first message is kept."""
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    if outcome is not None and outcome.reason == situation.reason == Reason.IMAGE_PULL_BACK_OFF:
        return replace(situation, message=outcome.message)
    return situation
