"""A run that is on Databricks: how it goes there, when it is to end, and what follows its end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.states import Life
from mlp.resources import ConditionType, DatabricksStatus, Phase, Reason
from mlp_operator.runs.actions import CancelRemote, Decision, FetchOutput, Observed, Rules
from mlp_operator.runs.deadlines import until
from mlp_operator.runs.handing_over import token_for
from mlp_operator.runs.remote import outcome_of, progress_of
from mlp_operator.runs.remote_telling import (
    ASK_AGAIN,
    UNREADABLE_AFTER,
    known_of,
    never_told,
    next_deadline,
    number_of,
    phase_of,
    reason_to_end,
    tell,
    to_be_cancelled,
)
from mlp_operator.runs.reporting import sooner
from mlp_operator.runs.situation import Situation

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun
    from mlp_operator.runs.actions import Remote

__all__ = ["on_databricks"]

_SUBMITTED: Final = "The run is handed over to Databricks."
_CANCELLING: Final = "Databricks was asked to cancel the run; that it has ended is told when it has."


def on_databricks(
    run: ProjectRun, stored: DatabricksStatus, observed: Observed, now: datetime, rules: Rules
) -> Decision:
    """Decide about a run that has an id there, or had."""
    remote = observed.remote
    if remote is None:
        return Decision()  # it is being taken up; what is heard of it leads here again
    state = remote.state
    known = known_of(stored, remote, now)
    if remote.gone or (state is not None and state.life == Life.ENDED):
        return _ended(run, known, remote, observed, now, rules)
    unreadable = _unreadable_since(stored, remote, now)
    if unreadable is not None and until(unreadable, rules.remote_limit, now) <= 0:
        return tell(run, never_told(known, remote.trouble), known, observed, now, rules)
    reason = stored.cancel_reason or _reason_to_end(run, remote, now)
    if reason is not None:
        if stored.cancel_reason is None:
            known = known.model_copy(update={"cancel_reason": reason})
            situation = Situation(phase_of(run), Reason.ENDING, _CANCELLING)
            return tell(run, situation, known, observed, now, rules)
        if to_be_cancelled(remote, now) and known.run_id is not None:
            return Decision(actions=(CancelRemote(known.run_id),))
    situation = _progress(run, stored, remote, reason, now)
    decision = tell(run, situation, known, observed, now, rules, remote=remote)
    waits = [next_deadline(run, now) if reason is None else ASK_AGAIN]
    if unreadable is not None and remote.unreadable_since is not None:
        waits.append(until(unreadable, rules.remote_limit, now))
        if (soon := until(remote.unreadable_since, UNREADABLE_AFTER, now)) > 0:
            waits.append(soon)
    for wait in waits:
        decision = sooner(decision, wait)
    return decision


def _unreadable_since(stored: DatabricksStatus, remote: Remote, now: datetime) -> datetime | None:
    """Since when a run's state cannot be read; None while it can.

    What an earlier process has found out counts when this one has tried for a while, too: on a machine that has just
    started, the first questions may fail.
    """
    since = remote.unreadable_since
    if since is None or until(since, UNREADABLE_AFTER, now) > 0:
        return since
    return stored.status_check_failure_time or since


def _reason_to_end(run: ProjectRun, remote: Remote, now: datetime) -> str | None:
    """Why a run is not to go on. What has happened while nobody looked is heard first."""
    reason = reason_to_end(run, now)
    if not _heard(remote) and reason in (Reason.DEADLINE_EXCEEDED, Reason.PENDING_DEADLINE_EXCEEDED):
        return None
    if reason == Reason.PENDING_DEADLINE_EXCEEDED and remote.state is not None and remote.state.started is not None:
        return None  # it has started, which is about to be written down
    return reason


def _heard(remote: Remote) -> bool:
    """Whether this process has heard of a run, or could not."""
    return remote.state is not None or remote.unreadable_since is not None


def _progress(
    run: ProjectRun, stored: DatabricksStatus, remote: Remote, reason: str | None, now: datetime
) -> Situation:
    """What a run is in that has not ended."""
    heard = None if remote.state is None else progress_of(remote.state)
    if reason is not None:
        return Situation(phase_of(run) if heard is None else heard.phase, Reason.ENDING, _CANCELLING)
    since = remote.unreadable_since
    if since is not None and until(since, UNREADABLE_AFTER, now) <= 0:
        text = f"The run's state on Databricks cannot be read: {remote.trouble} (trying again)"
        return Situation(phase_of(run), Reason.WORKSPACE_UNAVAILABLE, text)
    if heard is not None:
        return heard
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    if stored.run_id is None or outcome is None:
        return Situation(Phase.PREPARING, Reason.SUBMITTED, _SUBMITTED)
    if outcome.reason == Reason.WORKSPACE_UNAVAILABLE and remote.state is not None and since is None:
        # It can be read again, and is in none of the states that we know.
        word = Reason.RUNNING if phase_of(run) == Phase.RUNNING else Reason.SUBMITTED
        return Situation(phase_of(run), word, _SUBMITTED)
    return Situation(phase_of(run), outcome.reason, outcome.message)  # nothing new


def _ended(
    run: ProjectRun, stored: DatabricksStatus, remote: Remote, observed: Observed, now: datetime, rules: Rules
) -> Decision:
    state = remote.state
    if state is not None and state.is_nothing:
        # It took the token of a run that was not to go on: for what is wanted now, or was until a moment ago.
        reason = stored.cancel_reason or reason_to_end(run, now) or str(Reason.SUSPENDED)
        stored = stored.model_copy(update={"cancel_reason": reason})
    elif not remote.gone and state is not None and state.task_run_id is not None and remote.output is None:
        return Decision() if remote.asking else Decision(actions=(FetchOutput(remote.token, state),))
    outcome = outcome_of(run, stored, remote)
    attempts = run.status.attempts or 1
    # To be submitted anew once it may go on, under the next number.
    kept = DatabricksStatus(attempt=stored.attempt, run_page_url=stored.run_page_url, state=stored.state)
    if outcome.held:
        situation = outcome.situation
        if not run.spec.suspend:
            situation = Situation(Phase.PENDING, Reason.RESOLVED, "The run is submitted to Databricks anew.")
        return tell(run, situation, kept, observed, now, rules, remote=remote)
    failed = outcome.situation.phase == Phase.FAILED
    to_end = reason_to_end(run, now)
    left = failed and outcome.again and attempts <= run.spec.backoff_limit
    after = f"(attempt {attempts} of {run.spec.backoff_limit + 1}): {outcome.situation.message}"
    if left and to_end == Reason.SUSPENDED:
        text = f"The run is held until spec.suspend becomes false. Then it is tried again after {after}"
        held = Situation(Phase.SUSPENDED, Reason.SUSPENDED, text)
        return tell(run, held, kept, observed, now, rules, remote=remote, attempts=attempts + 1)
    if left and to_end is None:
        text = f"Trying again after {after}"
        number = number_of(run) + 1
        follower = DatabricksStatus(token=token_for(run, number), attempt=number)
        again = Situation(Phase.PENDING, Reason.RETRYING, text)
        return tell(run, again, follower, observed, now, rules, remote=remote, attempts=attempts + 1)
    situation = outcome.situation
    if failed and run.spec.backoff_limit and situation.reason == Reason.ENTRY_POINT_FAILED and outcome.again:
        text = f"All {attempts} attempts failed. The last: {situation.message}"
        situation = Situation(Phase.FAILED, Reason.BACKOFF_LIMIT_EXCEEDED, text)
    return tell(run, situation, stored, observed, now, rules, remote=remote)
