"""What to do about a run: wanted and observed in, actions and a status out. Pure; the clock is an argument.

Everything is derived from what is there now, so it does not matter which event led here, whether it came twice, or
whether another process did the step before. Where an action changes what is observed (a Job was created), the caller
observes and decides again; nothing is remembered between two passes but what stands in the cluster.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from mlp.resources import ConditionType, Phase, Reason, names
from mlp.resources.plan import Plan
from mlp_operator.runs import status as status_of
from mlp_operator.runs.actions import (
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    DeletePods,
    Observed,
    ReleasePods,
    Requeue,
    Resolve,
    Rules,
    SuspendJob,
    Wanted,
)
from mlp_operator.runs.ending import after_the_end, during_deletion
from mlp_operator.runs.expiry import until
from mlp_operator.runs.following import Following, follow, of_pod, reason_tags
from mlp_operator.runs.job import image_of, manifest, plan_of
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved
from mlp_operator.runs.pods import held, left
from mlp_operator.runs.recording import Untracked, server_of, wanted_state
from mlp_operator.runs.situation import Reading, Situation, read_job

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun, ProjectRunStatus
    from mlp_operator.runs.recording import TrackingServer

__all__ = ["decide"]

Object = dict[str, Any]

_WAITING: Final = (Reason.SOURCE_UNAVAILABLE, Reason.PARAMETER_SOURCE_PENDING)
_CONFLICT_RETRY: Final = 5.0
_REFUSED_RETRY: Final = 15.0
_LOOK_AGAIN: Final = 12.0
_PATIENT: Final = 30
_QUIET: Final = (Reason.SUBMITTED, Reason.FETCHING, Reason.BUILDING_ENVIRONMENT)
_STAGES: Final = (Reason.FETCHING, Reason.BUILDING_ENVIRONMENT)


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
    if run.being_deleted:
        return during_deletion(run, observed, now, rules)
    if run.finished:
        return after_the_end(run, observed, now, rules)
    if (superfluous := _superfluous(observed.pods)) is not None:
        return Decision(actions=(superfluous,))
    if observed.job is None:
        return _without_job(run, observed, now, rules)
    return _with_job(run, observed.job, observed, now, rules)


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
    given_up = had_job and run.spec.queue_name is not None and stored.phase == Phase.SUSPENDED
    if run.spec.shutdown is not None:
        if observed.pods:
            return Decision()  # their last event leads here again
        return _say(run, Situation(Phase.CANCELLED, Reason.CANCELLED, _CANCELLED), observed, now, rules)
    if given_up and observed.pods:
        return Decision()
    if had_job and not given_up:
        attempts = stored.attempts or 1
        if attempts > run.spec.backoff_limit:
            text = (
                f"The Job {run.name} was deleted, not by mlp, and spec.backoffLimit ({run.spec.backoff_limit}) allows "
                "no other attempt. Create a new ProjectRun to run it again; to cancel a run, set spec.shutdown."
            )
            return _say(run, Situation(Phase.FAILED, Reason.JOB_DELETED, text), observed, now, rules)
        if observed.pods:
            text = "The Job was deleted, not by mlp. It is made again as soon as its pods are gone."
            return _say(run, Situation(Phase.PENDING, Reason.JOB_DELETED, text), observed, now, rules)
    if run.spec.suspend:
        held_back = Situation(Phase.SUSPENDED, Reason.SUSPENDED, _SUSPENDED)
        return _say(run, held_back, observed, now, rules, job_given_up=given_up)
    if (late := _pending_deadline(run, now)) is not None and late <= 0:
        return _say(run, _too_late(run), observed, now, rules)
    used = 0 if stored.attempts is None else stored.attempts - (0 if had_job and not given_up else 1)
    decision = _toward_job(run, observed, now, rules, attempts_before=max(0, used))
    return _sooner(decision, late)


def _toward_job(run: ProjectRun, observed: Observed, now: datetime, rules: Rules, *, attempts_before: int) -> Decision:
    match observed.outcome:
        case None:
            return Decision(actions=(Resolve(),))
        case Working(since=since):
            wait = rules.progress_delay - (now - since).total_seconds()
            if wait > 0:
                return Decision(again_after=wait)
            if _reason(run) in _WAITING:
                return Decision()  # what kept the last look-up from its end says more than that the next one is slow
            text = "The version is being looked up and the MLproject file read; Git is slow."
            return _say(run, Situation(Phase.RESOLVING, Reason.RESOLVING, text), observed, now, rules)
        case Refused(reason=reason, message=message):
            return _say(run, Situation(Phase.FAILED, reason, message), observed, now, rules)
        case Unavailable(reason=reason, message=message, retry_at=retry_at):
            wait = (retry_at - now).total_seconds()
            if wait <= 0:
                return Decision(actions=(Resolve(),))
            waiting = reason if reason in _WAITING else Reason.SOURCE_UNAVAILABLE
            situation = Situation(Phase.RESOLVING, waiting, f"{message} (trying again)")
            return _sooner(_say(run, situation, observed, now, rules), wait)
        case Resolved() as resolved:
            return _submit(run, resolved, observed, now, rules, attempts_before=attempts_before)


def _submit(
    run: ProjectRun, resolved: Resolved, observed: Observed, now: datetime, rules: Rules, *, attempts_before: int
) -> Decision:
    plan = resolved.plan
    if observed.refusal is not None:
        text = f"The API server does not take the Job: {observed.refusal.message}"
        if observed.refusal.final:
            situation = Situation(Phase.FAILED, Reason.JOB_REFUSED, f"{text} Mend it in a new ProjectRun.")
            return _say(run, situation, observed, now, rules, plan=plan)
        situation = Situation(Phase.PENDING, Reason.JOB_REFUSED, f"{text} Trying again.")
        return _sooner(_say(run, situation, observed, now, rules, plan=plan), _REFUSED_RETRY)
    if observed.foreign_job is not None:
        text = (
            f"A Job named {run.name} is there that does not belong to this run. The run goes on as soon as it is gone; "
            "or create the ProjectRun under another name."
        )
        situation = Situation(Phase.PENDING, Reason.JOB_CONFLICT, text)
        return _sooner(_say(run, situation, observed, now, rules, plan=plan), _CONFLICT_RETRY)
    waiting = Situation(Phase.PENDING, Reason.RESOLVED, "The project is resolved.")
    image = image_of(run, resolved.docker_image, rules.defaults)
    recorded = _follow(run, waiting, observed, now, rules, plan=plan, image=image)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return Decision(again_after=recorded.hold)
    record = recorded.record
    if record is not None and record.run is None and record.trouble is not None and record.trouble.final:
        # The command would fail at its first word to the server, maybe hours from now.
        situation = Situation(Phase.FAILED, record.trouble.reason, record.trouble.message)
        return _say(run, situation, observed, now, rules, plan=plan)
    body = manifest(
        run,
        resolved,
        image=image,
        defaults=rules.defaults,
        tracking=_server(run, rules),
        tracked=record.run if record is not None else None,
        attempts_before=attempts_before,
    )
    return Decision(actions=(CreateJob(body),))


def _with_job(run: ProjectRun, job: Object, observed: Observed, now: datetime, rules: Rules) -> Decision:
    plan = _plan(job)
    if plan is None:
        text = f"The Job {run.name} carries no readable {names.PLAN_ANNOTATION}: it was not made by mlp, or changed."
        return _say(run, Situation(Phase.FAILED, Reason.JOB_CONFLICT, text), observed, now, rules)
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
    late = _pending_deadline(run, now) if waits and reading.attempts == 1 else None
    if late is not None and late <= 0:
        reading = replace(reading, situation=_too_late(run), completed=now)
    if (
        not reading.started
        and not reading.situation.finished
        and (hindrance := _hindrance(observed, reading)) is not None
    ):
        reading = replace(reading, situation=hindrance)
    held_back = run.spec.suspend and run.spec.queue_name is not None and not reading.situation.finished
    wait = _not_worth_a_write(run, job, reading, now, rules)
    if wait is not None:
        decision = _sooner(Decision(again_after=wait or None), late)
        return _sooner(decision, _LOOK_AGAIN) if reading.since is None else decision
    recorded = _follow(run, reading.situation, observed, now, rules, plan=plan, reading=reading)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return _sooner(Decision(again_after=recorded.hold), late)
    wanted = status_of.with_job(
        run.status,
        replace(reading, situation=_steady(run, reading.situation)),
        job=job,
        plan=plan,
        generation=run.metadata.generation,
        now=now,
        record=recorded.record,
        admitted=None if run.spec.queue_name is None else not job["spec"].get("suspend"),
    )
    taken: tuple[Action, ...] = (DeleteJob(job),) if held_back else ()
    decision = Decision(actions=taken, status=_if_changed(run, wanted), again_after=recorded.again)
    return _sooner(decision, late)


def _steered(run: ProjectRun, job: Object, reading: Reading) -> Reading | Decision:
    """What spec.suspend, or the run's queue, makes of a run that goes on."""
    suspended = bool(job["spec"].get("suspend"))
    if run.spec.queue_name is None:
        if run.spec.suspend:
            if not suspended:
                return Decision(actions=(SuspendJob(suspend=True),))
            return Reading(Situation(Phase.SUSPENDED, Reason.SUSPENDED, _SUSPENDED), attempts=reading.attempts)
        return Decision(actions=(SuspendJob(suspend=False),)) if suspended else reading
    if run.spec.suspend:
        return Reading(Situation(Phase.SUSPENDED, Reason.SUSPENDED, _SUSPENDED), attempts=reading.attempts)
    if not suspended:
        return reading
    if (job["metadata"].get("labels") or {}).get(names.QUEUE_LABEL) != run.spec.queue_name:
        return Decision(actions=(Requeue(run.spec.queue_name),))
    text = f"The queue {run.spec.queue_name} has not granted quota yet."
    return Reading(Situation(Phase.QUEUED, Reason.WAITING_FOR_QUOTA, text), attempts=reading.attempts)


def _hindrance(observed: Observed, reading: Reading) -> Situation | None:
    """What keeps a pod from its start, where that is known from elsewhere than the pod."""
    if reading.pod is not None:
        return observed.hindrance
    if observed.pod_refusal is None:
        return None
    text = f"The cluster does not take the run's pod: {observed.pod_refusal}"
    return Situation(Phase.PREPARING, Reason.POD_REFUSED, text)


def _server(run: ProjectRun, rules: Rules) -> TrackingServer | None:
    return server_of(run, rules.defaults.tracking_uri, rules.defaults.tracking_secret)


def _follow(
    run: ProjectRun,
    situation: Situation,
    observed: Observed,
    now: datetime,
    rules: Rules,
    *,
    plan: Plan | None = None,
    reading: Reading | None = None,
    image: str | None = None,
) -> Following:
    pod, ended = (reading.pod, reading.completed) if reading is not None else (None, None)
    return follow(
        run,
        observed.recording,
        _server(run, rules),
        Wanted(
            wanted_state(situation.phase),
            reason_tags(situation),
            (ended or now) if situation.finished else None,
            **of_pod(pod),
        ),
        plan=plan,
        now=now,
        patience=rules.tracking_patience,
        image=image,
    )


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


def _pending_deadline(run: ProjectRun, now: datetime) -> float | None:
    """Seconds until the command has to have started; None without such a limit, and once it has."""
    initialized = run.status.condition(ConditionType.INITIALIZED)
    if initialized is not None and initialized.status == "True":
        return None
    limit = run.spec.pending_deadline_seconds
    return None if limit is None or run.created is None else until(run.created, limit, now)


def _too_late(run: ProjectRun) -> Situation:
    before = run.status.condition(ConditionType.SUCCEEDED)
    last = f" The last that was known: {before.message}" if before is not None and before.message else ""
    text = (
        f"The command had not started {run.spec.pending_deadline_seconds} s after the run's creation, as "
        f"spec.pendingDeadlineSeconds demands.{last}"
    )
    return Situation(Phase.FAILED, Reason.PENDING_DEADLINE_EXCEEDED, text)


def _plan(job: Object) -> Plan | None:
    text = plan_of(job)
    try:
        return None if text is None else Plan.from_json(text)
    except ValidationError:
        return None


def _not_worth_a_write(run: ProjectRun, job: Object, reading: Reading, now: datetime, rules: Rules) -> float | None:
    """Whether a start that goes well may go on unreported: 0, or the seconds until it may not; None if not at all."""
    stored, outcome = run.status, run.status.condition(ConditionType.SUCCEEDED)
    known = stored.kubernetes is not None and stored.kubernetes.job_uid == job["metadata"]["uid"]
    same = known and stored.observed_generation == run.metadata.generation
    if not reading.situation.minor or not same or outcome is None or outcome.reason not in _QUIET:
        return None
    if reading.situation.reason in _STAGES and outcome.reason not in _STAGES and reading.since is not None:
        left = rules.progress_delay - (now - reading.since).total_seconds()
        return left if left > 0 else None
    return 0.0


def _steady(run: ProjectRun, situation: Situation) -> Situation:
    """Kubelet words one failing pull in turns as error and as back-off; the first message is kept."""
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    if outcome is not None and outcome.reason == situation.reason == Reason.IMAGE_PULL_BACK_OFF:
        return replace(situation, message=outcome.message)
    return situation


def _reason(run: ProjectRun) -> str | None:
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    return None if outcome is None else outcome.reason


def _say(
    run: ProjectRun,
    situation: Situation,
    observed: Observed,
    now: datetime,
    rules: Rules,
    *,
    plan: Plan | None = None,
    job_given_up: bool = False,
) -> Decision:
    """Report a situation without a Job; what MLflow knows of the run is told first."""
    recorded = _follow(run, situation, observed, now, rules)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return Decision(again_after=recorded.hold)
    record = recorded.record
    if record is not None and record.run is None and not isinstance(observed.recording, Untracked):
        record = None  # nobody has begun to record it
    wanted = status_of.before_job(
        run.status,
        situation,
        generation=run.metadata.generation,
        now=now,
        plan=plan,
        record=record,
        job_given_up=job_given_up,
    )
    return Decision(status=_if_changed(run, wanted), again_after=recorded.again)


def _if_changed(run: ProjectRun, wanted: ProjectRunStatus) -> ProjectRunStatus | None:
    return None if wanted == run.status else wanted


def _sooner(decision: Decision, late: float | None) -> Decision:
    """The same decision, looked at again after so many seconds at the latest."""
    if late is None:
        return decision
    times = [wait for wait in (late, decision.again_after) if wait is not None]
    return replace(decision, again_after=min(times))


_CANCELLED: Final = "The run was shut down, as spec.shutdown asks, and no pod of it is left."
_SUSPENDED: Final = "The run is held until spec.suspend becomes false."
