"""A run with the backend Databricks that has ended, or is being deleted: nothing of it stays behind there. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlp.backends.databricks.states import Life
from mlp.resources import ConditionType, Phase, Reason, names
from mlp_operator.runs.actions import CancelRemote, Decision, FindRemote, LetRunGo, Observed, Rules, Wanted
from mlp_operator.runs.deadlines import until
from mlp_operator.runs.ending import after_the_end
from mlp_operator.runs.following import follow
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.recording import wanted_state
from mlp_operator.runs.remote import outcome_of
from mlp_operator.runs.remote_telling import ASK_AGAIN, may_be_there, to_be_cancelled
from mlp_operator.runs.reporting import server, sooner

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp_operator.runs.actions import Remote

__all__ = ["after_the_end_of_remote", "during_deletion_of_remote", "of_unreadable"]

Object = dict[str, Any]


def after_the_end_of_remote(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """A finished run: nothing holds it any more, and its record is made true."""
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    # Of what nobody could ask for, something may still be there: that is cancelled when the object goes.
    unknown = outcome is not None and outcome.reason == Reason.STATUS_CHECK_TIMEOUT
    if names.DATABRICKS_FINALIZER in run.metadata.finalizers and not unknown:
        return Decision(actions=(LetRunGo(),))
    return after_the_end(run, observed, now, rules)


def during_deletion_of_remote(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """A run that is being deleted: it goes when nothing of it is on Databricks, or that cannot be told for long."""
    if names.DATABRICKS_FINALIZER not in run.metadata.finalizers:
        return Decision()
    since = run.metadata.deletion_timestamp or now
    late = until(since, rules.remote_limit, now)
    first = _not_yet_gone(run, observed, now)
    if first is not None:
        if late > 0:
            return sooner(first, late)
        return Decision(actions=(LetRunGo(_left_behind(run, observed)),))
    phase = run.status.phase if run.finished else Phase.CANCELLED
    ended = _state_at_the_end(run, observed) or wanted_state(phase)
    following = follow(
        run,
        observed.recording,
        server(run, rules),
        Wanted(ended, ended=run.status.completion_time or now),
        plan=None,
        now=now,
        patience=rules.tracking_patience,
    )
    if following.action is not None:
        return Decision(actions=(following.action,))
    record_late = until(since, rules.tracking_limit, now)
    if following.over or record_late <= 0:
        return Decision(actions=(LetRunGo(),))
    return sooner(sooner(Decision(again_after=record_late), following.hold), following.again)


def of_unreadable(body: Object, now: datetime, rules: Rules) -> Decision:
    """A run that is being deleted, and that our models refuse: written under another schema, or past it.

    Another version of the operator may understand it, and is waited for. It is not kept for ever.
    """
    metadata, told = body["metadata"], (body.get("status") or {}).get("databricks") or {}
    if names.DATABRICKS_FINALIZER not in (metadata.get("finalizers") or ()):
        return Decision()
    if not told.get("token"):
        return Decision(actions=(LetRunGo(),))
    late = until(datetime.fromisoformat(metadata["deletionTimestamp"]), rules.remote_limit, now)
    if late > 0:
        return Decision(again_after=late)
    text = (
        f"Run {told.get('runId', 'with the token')} ({told['token']}) may still be there: this operator does not "
        "understand the ProjectRun, and could not cancel it. Look for it in the workspace, and cancel it there."
    )
    return Decision(actions=(LetRunGo(text),))


def _not_yet_gone(run: ProjectRun, observed: Observed, now: datetime) -> Decision | None:
    """What has to be done first so that nothing of a run is on Databricks; None if nothing is."""
    stored, remote = run.status.databricks, observed.remote
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    settled = run.finished and outcome is not None and outcome.reason != Reason.STATUS_CHECK_TIMEOUT
    if settled or stored is None or stored.token is None:
        return None
    run_id = stored.run_id or (remote.run_id if remote is not None else None)
    if run_id is None:
        if not may_be_there(remote):
            return None
        return _to_be_found(stored.token, remote, now)
    if remote is None:
        return Decision()
    if remote.gone or (remote.state is not None and remote.state.life == Life.ENDED):
        return None
    if to_be_cancelled(remote, now):
        return Decision(actions=(CancelRemote(run_id),))
    return Decision(again_after=ASK_AGAIN)


def _to_be_found(token: str, remote: Remote | None, now: datetime) -> Decision | None:
    """How it is found out whether anything was submitted; None if nothing was."""
    match remote.submission if remote is not None else None:
        case Refused():
            return None
        case Working():
            return Decision()
        case Unavailable(retry_at=retry_at) if (wait := (retry_at - now).total_seconds()) > 0:
            return Decision(again_after=wait)
    return Decision(actions=(FindRemote(token),))


def _state_at_the_end(run: ProjectRun, observed: Observed) -> str | None:
    """What MLflow is told of a run that had ended well before its deletion could cancel it."""
    stored, remote = run.status.databricks, observed.remote
    if run.finished or stored is None or remote is None or remote.state is None or remote.state.ending is None:
        return None
    situation = outcome_of(run, stored, remote).situation
    return wanted_state(situation.phase) if situation.phase == Phase.SUCCEEDED else None


def _left_behind(run: ProjectRun, observed: Observed) -> str:
    stored, remote = run.status.databricks, observed.remote
    run_id = (stored.run_id if stored is not None else None) or (remote.run_id if remote is not None else None)
    which = f"Run {run_id}" if run_id else f"A run with the token {stored.token if stored is not None else ''}"
    page = f" ({stored.run_page_url})" if stored is not None and stored.run_page_url else ""
    trouble = f" {remote.trouble}" if remote is not None and remote.trouble else ""
    return (
        f"{which}{page} may still be there: Databricks could not be asked to cancel it.{trouble} Look for it in the "
        "workspace, and cancel it there."
    )
