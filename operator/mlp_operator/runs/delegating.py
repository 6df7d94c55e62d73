"""What to do about a run whose backend is Databricks: hold, submit, follow, cancel, tell. Pure.

The token of a submission stands in the status before it is sent, and the ProjectRun has our finalizer before that: so
whatever happens in between, the next process finds the run on Databricks, or finds out that there is none. Why the
operator has cancelled a run stands there, too, before it asks. What Databricks has not told has not happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError
from mlp.resources import DatabricksStatus, Phase, Reason, names
from mlp_operator.runs import status as status_of
from mlp_operator.runs.actions import Decision, FindRemote, HoldRun, Observed, Rules, SubmitRemote
from mlp_operator.runs.deadlines import pending_deadline, too_late, until
from mlp_operator.runs.following import known_run
from mlp_operator.runs.handing_over import task_of, token_for
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.remote_ending import after_the_end_of_remote, during_deletion_of_remote
from mlp_operator.runs.remote_following import on_databricks
from mlp_operator.runs.remote_telling import (
    NOTHING_THERE,
    backend_of,
    ending_for,
    follow_remote,
    may_be_there,
    never_told,
    next_deadline,
    number_of,
    reason_to_end,
    tell,
)
from mlp_operator.runs.reporting import say, server, sooner
from mlp_operator.runs.situation import Situation
from mlp_operator.runs.submitting import once_resolved

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun
    from mlp_operator.runs.planning import Resolved

__all__ = ["delegated"]

_HELD: Final = "The run is held until spec.suspend becomes false."


def delegated(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """Compare what is wanted with what is there.

    Args:
        run: The resource, status included.
        observed: What is there.
        now: The present moment, with a zone.
        rules: The operator's settings.
    """
    if run.being_deleted:
        return during_deletion_of_remote(run, observed, now, rules)
    if run.finished:
        return after_the_end_of_remote(run, observed, now, rules)
    stored = run.status.databricks
    if stored is None or stored.token is None:
        return _unsubmitted(run, observed, now, rules)
    if names.DATABRICKS_FINALIZER not in run.metadata.finalizers:
        return Decision(actions=(HoldRun(),))  # somebody has written the object without it
    if stored.run_id is None and (observed.remote is None or observed.remote.run_id is None):
        return _handed_over(run, stored, observed, now, rules)
    return on_databricks(run, stored, observed, now, rules)


def _unsubmitted(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    if run.spec.shutdown is not None:
        return say(run, Situation(Phase.CANCELLED, Reason.CANCELLED, NOTHING_THERE), observed, now, rules)
    if run.spec.suspend:
        return say(run, Situation(Phase.SUSPENDED, Reason.SUSPENDED, _HELD), observed, now, rules)
    if (late := pending_deadline(run, now)) is not None and late <= 0:
        return say(run, too_late(run), observed, now, rules)

    def register(resolved: Resolved) -> Decision:
        return _register(run, resolved, observed, now, rules)

    return sooner(once_resolved(run, observed, now, rules, register), late)


def _register(run: ProjectRun, resolved: Resolved, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """Write down what is going to be submitted, before it is."""
    if names.DATABRICKS_FINALIZER not in run.metadata.finalizers:
        return Decision(actions=(HoldRun(),))
    waiting = Situation(Phase.PENDING, Reason.RESOLVED, "The project is resolved, and is handed over to Databricks.")
    recorded = follow_remote(run, waiting, observed, now, rules, plan=resolved.plan, patience=rules.beginning_patience)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return Decision(again_after=recorded.hold)
    record = recorded.record
    if record is not None and record.run is None and record.trouble is not None and record.trouble.final:
        # The command would fail at its first word to the server, after a cluster was started for it.
        situation = Situation(Phase.FAILED, record.trouble.reason, record.trouble.message)
        return say(run, situation, observed, now, rules, plan=resolved.plan)
    number = number_of(run) + 1
    wanted = status_of.with_remote(
        run.status,
        waiting,
        databricks=DatabricksStatus(token=token_for(run, number), attempt=number),
        attempts=max(1, run.status.attempts or 1),
        generation=run.metadata.generation,
        now=now,
        plan=resolved.plan,
        record=record,
    )
    return Decision(status=wanted)


def _handed_over(
    run: ProjectRun, stored: DatabricksStatus, observed: Observed, now: datetime, rules: Rules
) -> Decision:
    """The token is written, and the run's id not known yet."""
    reason = reason_to_end(run, now)
    if reason is not None and not may_be_there(observed.remote):
        return _never_there(run, reason, stored, observed, now, rules)
    late = None if reason is not None else next_deadline(run, now)
    submission = None if observed.remote is None else observed.remote.submission
    match submission:
        case Working():
            return sooner(Decision(), late)
        case Refused(reason=why, message=message):
            # Nothing is there, whatever it would have been cancelled for.
            situation = ending_for(run, reason) or Situation(Phase.FAILED, why, message)
            return tell(run, situation, stored, observed, now, rules)
        case Unavailable(message=message, retry_at=retry_at) if (wait := (retry_at - now).total_seconds()) > 0:
            since = stored.status_check_failure_time or now
            if reason is not None and (over := until(since, rules.remote_limit, now)) <= 0:
                return tell(run, never_told(stored, message), stored, observed, now, rules)
            situation = Situation(Phase.PENDING, Reason.WORKSPACE_UNAVAILABLE, f"{message} (trying again)")
            waiting = stored.model_copy(update={"status_check_failure_time": since.replace(microsecond=0)})
            decision = sooner(tell(run, situation, waiting, observed, now, rules), wait)
            return sooner(decision, late if reason is None else over)
    if reason is not None or (isinstance(observed.outcome, Refused) and may_be_there(observed.remote)):
        # What was handed over before its project was lost goes on, too.
        return Decision(actions=(FindRemote(stored.token or ""),))

    def submit(resolved: Resolved) -> Decision:
        return _submit(run, resolved, stored, observed, now, rules)

    return sooner(once_resolved(run, observed, now, rules, submit), late)


def _never_there(
    run: ProjectRun, reason: str, stored: DatabricksStatus, observed: Observed, now: datetime, rules: Rules
) -> Decision:
    """A run that is not to go on, and whose token nobody has sent: there is nothing to look for."""
    ending = ending_for(run, reason)
    if ending is not None:
        return tell(run, ending, stored, observed, now, rules)
    held = Situation(Phase.SUSPENDED, Reason.SUSPENDED, _HELD)
    return tell(run, held, DatabricksStatus(attempt=stored.attempt), observed, now, rules)


def _submit(
    run: ProjectRun, resolved: Resolved, stored: DatabricksStatus, observed: Observed, now: datetime, rules: Rules
) -> Decision:
    place = server(run, rules)
    try:
        task = task_of(
            run,
            backend_of(run),
            resolved,
            token=stored.token or "",
            tracked=known_run(run, observed.recording),
            tracking_uri=None if place is None else place.uri,
        )
    except UsageError as error:
        if may_be_there(observed.remote):
            return Decision(actions=(FindRemote(stored.token or ""),))
        return tell(run, Situation(Phase.FAILED, error.reason, str(error)), stored, observed, now, rules)
    return Decision(actions=(SubmitRemote(task, resolved),))
