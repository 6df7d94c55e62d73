"""What all decisions about a run on Databricks need: why it is to end, until when, and how it is told. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.states import Life
from mlp.errors import UsageError
from mlp.resources import Phase, Reason
from mlp_operator.runs import status as status_of
from mlp_operator.runs.actions import Decision, Observed, Rules, Wanted
from mlp_operator.runs.deadlines import pending_deadline, too_late, until
from mlp_operator.runs.following import Following, follow, reason_tags
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.recording import databricks_tags, wanted_state
from mlp_operator.runs.reporting import if_changed, server
from mlp_operator.runs.situation import Situation

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import DatabricksBackend, DatabricksStatus, ProjectRun
    from mlp.resources.plan import Plan
    from mlp_operator.runs.actions import Remote

__all__ = [
    "ASK_AGAIN",
    "NOTHING_THERE",
    "UNREADABLE_AFTER",
    "backend_of",
    "ending_for",
    "follow_remote",
    "known_of",
    "may_be_there",
    "never_told",
    "next_deadline",
    "number_of",
    "phase_of",
    "reason_to_end",
    "tell",
    "to_be_cancelled",
]

NOTHING_THERE: Final = "The run was shut down, as spec.shutdown asks, and nothing of it is on Databricks."
ASK_AGAIN: Final = 120.0
"""Seconds after which a run that was to be cancelled and goes on is cancelled once more."""
UNREADABLE_AFTER: Final = 30.0
"""Seconds for which a state that cannot be read is nobody's business."""


def tell(
    run: ProjectRun,
    situation: Situation,
    databricks: DatabricksStatus,
    observed: Observed,
    now: datetime,
    rules: Rules,
    *,
    remote: Remote | None = None,
    attempts: int | None = None,
) -> Decision:
    """Report a situation; MLflow is told first."""
    recorded = follow_remote(run, situation, observed, now, rules, remote=remote, patience=rules.tracking_patience)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return Decision(again_after=recorded.hold)
    record = recorded.record
    if record is not None and record.run is None and observed.recording is None:
        record = None  # nobody has begun to record it
    state = None if remote is None else remote.state
    wanted = status_of.with_remote(
        run.status,
        situation,
        databricks=databricks,
        attempts=attempts or run.status.attempts or 1,
        generation=run.metadata.generation,
        now=now,
        record=record,
        started=situation.phase == Phase.RUNNING or (state is not None and state.started is not None),
        completed=state.ended if state is not None else None,
    )
    return Decision(status=if_changed(run, wanted), again_after=recorded.again)


def follow_remote(
    run: ProjectRun,
    situation: Situation,
    observed: Observed,
    now: datetime,
    rules: Rules,
    *,
    patience: float,
    plan: Plan | None = None,
    remote: Remote | None = None,
) -> Following:
    """What has to happen so that MLflow knows of a situation on Databricks."""
    state = None if remote is None else remote.state
    ended = (state.ended if state is not None else None) or now
    return follow(
        run,
        observed.recording,
        server(run, rules),
        Wanted(
            wanted_state(situation.phase),
            {**reason_tags(situation), **databricks_tags(run.status.databricks, backend_of(run).host)},
            ended if situation.finished else None,
            since=None if state is None else state.started,
            told_to_end=None if remote is None else remote.cancelled_at,
        ),
        plan=plan,
        now=now,
        patience=patience,
    )


def backend_of(run: ProjectRun) -> DatabricksBackend:
    """The part of the spec that is about Databricks."""
    backend = run.spec.backend.databricks
    if backend is None:  # the schema says that it is there
        raise UsageError("spec.backend.type Databricks needs spec.backend.databricks.")
    return backend


def number_of(run: ProjectRun) -> int:
    """The number of the newest submission; 0 if there was none."""
    stored = run.status.databricks
    return (stored.attempt or 0) if stored is not None else 0


def phase_of(run: ProjectRun) -> Phase:
    """The phase that a status says."""
    return Phase(run.status.phase) if run.status.phase in set(Phase) else Phase.PENDING


def known_of(stored: DatabricksStatus, remote: Remote, now: datetime) -> DatabricksStatus:
    """What the status says of a submission, with what was heard of it."""
    state = remote.state
    heard: dict[str, object] = {"run_id": stored.run_id or remote.run_id}
    if state is not None:
        # That it is being cleaned up is true for seconds, and not worth a write.
        words = stored.state if state.life == Life.ENDING else state.words or stored.state
        heard |= {"state": words, "run_page_url": state.page_url or stored.run_page_url}
    since = remote.unreadable_since
    if since is None:
        # A process that has just begun has not heard anything yet, and knows no better than the one before.
        if state is not None or stored.run_id is None:
            heard["status_check_failure_time"] = None
    elif stored.status_check_failure_time is None and until(since, UNREADABLE_AFTER, now) <= 0:
        heard["status_check_failure_time"] = since.replace(microsecond=0)
    if remote.output is not None and remote.output.config_map is not None:
        heard["log_config_map_name"] = remote.output.config_map
    return stored.model_copy(update=heard)


def reason_to_end(run: ProjectRun, now: datetime) -> str | None:
    """Why a run is not to go on."""
    if run.spec.shutdown is not None:
        return str(Reason.CANCELLED)
    if (late := _active_deadline(run, now)) is not None and late <= 0:
        return str(Reason.DEADLINE_EXCEEDED)
    if (late := pending_deadline(run, now)) is not None and late <= 0:
        return str(Reason.PENDING_DEADLINE_EXCEEDED)
    return str(Reason.SUSPENDED) if run.spec.suspend else None


def may_be_there(remote: Remote | None) -> bool:
    """Whether there may be a run on Databricks that was submitted and whose id nobody knows."""
    return remote is None or not remote.unsent or isinstance(remote.submission, Working)


def ending_for(run: ProjectRun, reason: str | None) -> Situation | None:
    """How a run ends, or waits, of which nothing is on Databricks and that is not to go on."""
    match reason:
        case Reason.CANCELLED:
            return Situation(Phase.CANCELLED, Reason.CANCELLED, NOTHING_THERE)
        case Reason.PENDING_DEADLINE_EXCEEDED:
            return too_late(run)
        case Reason.DEADLINE_EXCEEDED:
            text = (
                f"The run took longer than spec.activeDeadlineSeconds ({run.spec.active_deadline_seconds}) allows, and "
                "nothing of it is on Databricks. Raise it in a new ProjectRun."
            )
            return Situation(Phase.FAILED, Reason.DEADLINE_EXCEEDED, text)
    return None


def _active_deadline(run: ProjectRun, now: datetime) -> float | None:
    limit, started = run.spec.active_deadline_seconds, run.status.start_time
    return None if limit is None or started is None else until(started, limit, now)


def next_deadline(run: ProjectRun, now: datetime) -> float | None:
    """Seconds until the next limit of the spec is over; None if none is ahead."""
    limits = (_active_deadline(run, now), pending_deadline(run, now))
    return min((wait for wait in limits if wait is not None and wait > 0), default=None)


def to_be_cancelled(remote: Remote, now: datetime) -> bool:
    """Whether Databricks is to be asked (again) to cancel a run that is not to go on."""
    if remote.asking:
        return False
    if remote.cancelled_at is None:
        return True
    still = remote.state is not None and remote.state.life not in (Life.ENDING, Life.ENDED)
    return still and until(remote.cancelled_at, ASK_AGAIN, now) <= 0


def never_told(stored: DatabricksStatus, trouble: str) -> Situation:
    """What is said of a run of which nothing could be found out for too long."""
    which = f"run {stored.run_id}" if stored.run_id else f"the run with the token {stored.token}"
    since = stored.status_check_failure_time
    text = (
        f"What became of {which} on Databricks could not be found out since {since:%Y-%m-%dT%H:%M:%SZ}: {trouble} "
        "It may still be running there: look at its page in the workspace. Deleting this ProjectRun cancels it, once "
        "the workspace can be asked."
        if since is not None
        else f"What became of {which} on Databricks could not be found out: {trouble}"
    )
    return Situation(Phase.FAILED, Reason.STATUS_CHECK_TIMEOUT, text)
