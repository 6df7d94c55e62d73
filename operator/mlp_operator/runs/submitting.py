"""From a run without a Job to its Job: its project is looked up, MLflow told, the Job made. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError
from mlp.resources import ConditionType, Phase, Reason
from mlp_operator.runs.actions import CreateJob, Decision, Observed, Resolve, Rules
from mlp_operator.runs.job import image_of, manifest
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved
from mlp_operator.runs.reporting import follow_up, say, server, sooner
from mlp_operator.runs.situation import Situation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mlp.resources import ProjectRun

__all__ = ["once_resolved", "toward_job"]

_WAITING: Final = (Reason.SOURCE_UNAVAILABLE, Reason.PARAMETER_SOURCE_PENDING)
_CONFLICT_RETRY: Final = 5.0
_REFUSED_RETRY: Final = 15.0


def toward_job(run: ProjectRun, observed: Observed, now: datetime, rules: Rules, *, attempts_before: int) -> Decision:
    """Bring a run without a Job a step closer to it.

    Args:
        run: The run.
        observed: What is there.
        now: The present moment.
        rules: The operator's settings.
        attempts_before: Attempts that earlier Jobs have used up.
    """

    def submit(resolved: Resolved) -> Decision:
        return _submit(run, resolved, observed, now, rules, attempts_before=attempts_before)

    return once_resolved(run, observed, now, rules, submit)


def once_resolved(
    run: ProjectRun, observed: Observed, now: datetime, rules: Rules, go_on: Callable[[Resolved], Decision]
) -> Decision:
    """Have the project looked up, and go on with what was found.

    Args:
        run: The run.
        observed: What is there.
        now: The present moment.
        rules: The operator's settings.
        go_on: What comes next.
    """
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
            return say(run, Situation(Phase.RESOLVING, Reason.RESOLVING, text), observed, now, rules)
        case Refused(reason=reason, message=message):
            return say(run, Situation(Phase.FAILED, reason, message), observed, now, rules)
        case Unavailable(reason=reason, message=message, retry_at=retry_at):
            wait = (retry_at - now).total_seconds()
            if wait <= 0:
                return Decision(actions=(Resolve(),))
            waiting = reason if reason in _WAITING else Reason.SOURCE_UNAVAILABLE
            situation = Situation(Phase.RESOLVING, waiting, f"{message} (trying again)")
            return sooner(say(run, situation, observed, now, rules), wait)
        case Resolved() as resolved:
            return go_on(resolved)


def _submit(
    run: ProjectRun, resolved: Resolved, observed: Observed, now: datetime, rules: Rules, *, attempts_before: int
) -> Decision:
    plan = resolved.plan
    if observed.refusal is not None:
        text = f"The API server does not take the Job: {observed.refusal.message}"
        if observed.refusal.final:
            situation = Situation(Phase.FAILED, Reason.JOB_REFUSED, f"{text} Mend it in a new ProjectRun.")
            return say(run, situation, observed, now, rules, plan=plan)
        situation = Situation(Phase.PENDING, Reason.JOB_REFUSED, f"{text} Trying again.")
        return sooner(say(run, situation, observed, now, rules, plan=plan), _REFUSED_RETRY)
    if observed.foreign_job is not None:
        text = (
            f"A Job named {run.name} is there that does not belong to this run. The run goes on as soon as it is gone; "
            "or create the ProjectRun under another name."
        )
        situation = Situation(Phase.PENDING, Reason.JOB_CONFLICT, text)
        return sooner(say(run, situation, observed, now, rules, plan=plan), _CONFLICT_RETRY)
    waiting = Situation(Phase.PENDING, Reason.RESOLVED, "The project is resolved.")
    image = image_of(run, resolved.docker_image, rules.defaults)
    recorded = follow_up(run, waiting, observed, now, rules, plan=plan, image=image)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return Decision(again_after=recorded.hold)
    record = recorded.record
    if record is not None and record.run is None and record.trouble is not None and record.trouble.final:
        # The command would fail at its first word to the server, maybe hours from now.
        situation = Situation(Phase.FAILED, record.trouble.reason, record.trouble.message)
        return say(run, situation, observed, now, rules, plan=plan)
    try:
        body = manifest(
            run,
            resolved,
            image=image,
            defaults=rules.defaults,
            tracking=server(run, rules),
            tracked=record.run if record is not None else None,
            attempts_before=attempts_before,
        )
    except UsageError as error:
        # Planning has made one for trial, but knows of the operator's settings only what plans depend on.
        return say(run, Situation(Phase.FAILED, error.reason, str(error)), observed, now, rules, plan=plan)
    return Decision(actions=(CreateJob(body),))


def _reason(run: ProjectRun) -> str | None:
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    return None if outcome is None else outcome.reason
