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
    Resolve,
    Rules,
    SuspendJob,
)
from mlp_operator.runs.expiry import expire, until
from mlp_operator.runs.job import image_of, manifest, plan_of
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved
from mlp_operator.runs.situation import Reading, Situation, read_job

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun, ProjectRunStatus

__all__ = ["decide"]

Object = dict[str, Any]

_CONFLICT_RETRY: Final = 5.0
_REFUSED_RETRY: Final = 15.0
_NO_POD_LOOK: Final = 12.0
_PATIENT: Final = 30
_QUIET: Final = (Reason.SUBMITTED, Reason.FETCHING)


def decide(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """Compare what is wanted with what is there.

    Args:
        run: The resource, status included.
        observed: What is there.
        now: The present moment, with a zone.
        rules: The operator's settings.
    """
    if run.spec.managed_by not in (None, names.MANAGED_BY) or run.being_deleted:
        return Decision()
    if run.finished:
        return expire(run, observed, now)
    if observed.job is None:
        return _without_job(run, observed, now, rules)
    return _with_job(run, observed.job, observed, now, rules)


def _without_job(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    stored = run.status
    had_job = stored.kubernetes is not None and stored.kubernetes.job_uid is not None
    if run.spec.shutdown is not None:
        if observed.pods:
            return Decision()  # their last event leads here again
        return _say(run, Situation(Phase.CANCELLED, Reason.CANCELLED, _CANCELLED), now)
    if had_job:
        attempts = stored.attempts or 1
        if attempts > run.spec.backoff_limit:
            text = (
                f"The Job {run.name} was deleted, not by mlp, and spec.backoffLimit ({run.spec.backoff_limit}) allows "
                "no other attempt. Create a new ProjectRun to run it again; to cancel a run, set spec.shutdown."
            )
            return _say(run, Situation(Phase.FAILED, Reason.JOB_DELETED, text), now)
        if observed.pods:
            text = "The Job was deleted, not by mlp. It is made again as soon as its pods are gone."
            return _say(run, Situation(Phase.PENDING, Reason.JOB_DELETED, text), now)
    if run.spec.suspend:
        return _say(run, Situation(Phase.SUSPENDED, Reason.SUSPENDED, _SUSPENDED), now)
    if (late := _pending_deadline(run, now)) is not None and late <= 0:
        return _say(run, _too_late(run), now)
    decision = _toward_job(run, observed, now, rules, attempts_before=(stored.attempts or 1) if had_job else 0)
    return _sooner(decision, late)


def _toward_job(run: ProjectRun, observed: Observed, now: datetime, rules: Rules, *, attempts_before: int) -> Decision:
    match observed.outcome:
        case None:
            return Decision(actions=(Resolve(),))
        case Working(since=since):
            wait = rules.progress_delay - (now - since).total_seconds()
            if wait > 0:
                return Decision(again_after=wait)
            if _reason(run) == Reason.SOURCE_UNAVAILABLE:
                return Decision()  # what kept the last look-up from its end says more than that the next one is slow
            text = "The version is being looked up and the MLproject file read; Git is slow."
            return _say(run, Situation(Phase.RESOLVING, Reason.RESOLVING, text), now)
        case Refused(reason=reason, message=message):
            return _say(run, Situation(Phase.FAILED, reason, message), now)
        case Unavailable(message=message, retry_at=retry_at):
            wait = (retry_at - now).total_seconds()
            if wait <= 0:
                return Decision(actions=(Resolve(),))
            said = _say(run, Situation(Phase.RESOLVING, Reason.SOURCE_UNAVAILABLE, f"{message} (trying again)"), now)
            return replace(said, again_after=wait)
        case Resolved() as resolved:
            return _submit(run, resolved, observed, now, rules, attempts_before=attempts_before)


def _submit(
    run: ProjectRun, resolved: Resolved, observed: Observed, now: datetime, rules: Rules, *, attempts_before: int
) -> Decision:
    if observed.refusal is not None:
        text = f"The API server does not take the Job: {observed.refusal.message}"
        if observed.refusal.final:
            situation = Situation(Phase.FAILED, Reason.JOB_REFUSED, f"{text} Mend it in a new ProjectRun.")
            return _say(run, situation, now, plan=resolved.plan)
        said = _say(run, Situation(Phase.PENDING, Reason.JOB_REFUSED, f"{text} Trying again."), now, plan=resolved.plan)
        return replace(said, again_after=_REFUSED_RETRY)
    if observed.foreign_job is not None:
        text = (
            f"A Job named {run.name} is there that does not belong to this run. The run goes on as soon as it is gone; "
            "or create the ProjectRun under another name."
        )
        said = _say(run, Situation(Phase.PENDING, Reason.JOB_CONFLICT, text), now, plan=resolved.plan)
        return replace(said, again_after=_CONFLICT_RETRY)
    body = manifest(
        run,
        resolved.plan,
        image=image_of(run, resolved.docker_image, rules.defaults),
        defaults=rules.defaults,
        variables=resolved.variables,
        attempts_before=attempts_before,
    )
    return Decision(actions=(CreateJob(body),))


def _with_job(run: ProjectRun, job: Object, observed: Observed, now: datetime, rules: Rules) -> Decision:
    plan = _plan(job)
    if plan is None:
        text = f"The Job {run.name} carries no readable {names.PLAN_ANNOTATION}: it was not made by mlp, or changed."
        return _say(run, Situation(Phase.FAILED, Reason.JOB_CONFLICT, text), now)
    reading = read_job(job, observed.pods, backoff_limit=run.spec.backoff_limit)
    deleting = "deletionTimestamp" in job["metadata"]
    suspended = bool(job["spec"].get("suspend"))
    if run.spec.shutdown is not None and not reading.situation.finished:
        return _cancel(run, job, observed, deleting=deleting)
    if deleting and reading.situation.phase != Phase.SUCCEEDED:
        return Decision()  # what its pods say now is the deletion's doing; when it is gone, JobDeleted tells
    if run.spec.suspend and not reading.situation.finished:
        if not suspended:
            return Decision(actions=(SuspendJob(suspend=True),))
        reading = Reading(Situation(Phase.SUSPENDED, Reason.SUSPENDED, _SUSPENDED), attempts=reading.attempts)
    elif suspended and not run.spec.suspend:
        return Decision(actions=(SuspendJob(suspend=False),))
    waits = not reading.started and reading.situation.phase in (Phase.PREPARING, Phase.PENDING)
    late = _pending_deadline(run, now) if waits and reading.attempts == 1 else None
    if late is not None and late <= 0:
        reading = replace(reading, situation=_too_late(run), completed=now)
    if observed.pod_refusal is not None and reading.pod is None and reading.situation.minor:
        text = f"The cluster does not take the run's pod: {observed.pod_refusal}"
        reading = replace(reading, situation=Situation(Phase.PREPARING, Reason.POD_REFUSED, text))
    wait = _not_worth_a_write(run, job, reading, now, rules)
    if wait is not None:
        held = _sooner(Decision(again_after=wait or None), late)
        return _sooner(held, _NO_POD_LOOK) if reading.pod is None else held
    wanted = status_of.with_job(
        run.status,
        replace(reading, situation=_steady(run, reading.situation)),
        job=job,
        plan=plan,
        generation=run.metadata.generation,
        now=now,
    )
    return _sooner(Decision(status=_if_changed(run, wanted)), late)


def _cancel(run: ProjectRun, job: Object, observed: Observed, *, deleting: bool) -> Decision:
    """Ask for the end; it is reported when no pod is left."""
    actions: list[Action] = [] if deleting else [DeleteJob(job)]
    if run.spec.shutdown == "Terminate":
        patient = tuple(
            pod
            for pod in observed.pods
            if pod["status"].get("phase") not in ("Succeeded", "Failed")
            and pod["metadata"].get("deletionGracePeriodSeconds", _PATIENT) > 1
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
    if reading.situation.reason == Reason.FETCHING and outcome.reason != Reason.FETCHING and reading.since is not None:
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


def _say(run: ProjectRun, situation: Situation, now: datetime, *, plan: Plan | None = None) -> Decision:
    wanted = status_of.before_job(run.status, situation, generation=run.metadata.generation, now=now, plan=plan)
    return Decision(status=_if_changed(run, wanted))


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
