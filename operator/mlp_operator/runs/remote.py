"""What Databricks says about a run, in the words of the state table. Pure: what is known in, a situation out.

Only an end that Databricks has told counts as one. What it says in words that this version does not know, and what
cannot be read for now, leaves the run as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.states import Ending, Life
from mlp.resources.conditions import Phase, Reason
from mlp_operator.runs.deadlines import too_late
from mlp_operator.runs.pods import Situation

if TYPE_CHECKING:
    from mlp.backends.databricks.states import RunState
    from mlp.resources import DatabricksStatus, ProjectRun
    from mlp_operator.runs.actions import Remote, RemoteOutput

__all__ = ["Outcome", "outcome_of", "progress_of"]

_LONGEST_LOG: Final = 2048
"""Bytes of a log's end that a message has room for."""

_PROGRESS: Final = {
    Life.QUEUED: (Phase.QUEUED, Reason.WAITING_FOR_COMPUTE, "The run waits in the queue of its workspace."),
    Life.PENDING: (Phase.PREPARING, Reason.WAITING_FOR_COMPUTE, "Databricks is making the run's compute ready."),
    Life.RUNNING: (Phase.RUNNING, Reason.RUNNING, "The run is running on Databricks."),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the end of a submission means for its run.

    Attributes:
        situation: What the run is in, if nothing follows.
        again: Whether another attempt may end otherwise.
        held: Whether it was ended because the run is, or was, to be held.
    """

    situation: Situation
    again: bool = False
    held: bool = False


def progress_of(state: RunState) -> Situation | None:
    """What a run is in that goes on; None if that is not told in words that we know, or nothing has changed."""
    if state.life not in _PROGRESS:
        return None
    phase, reason, text = _PROGRESS[state.life]
    return Situation(phase, reason, f"{text} {state.message}".strip() if phase != Phase.RUNNING else text)


def outcome_of(run: ProjectRun, stored: DatabricksStatus, remote: Remote) -> Outcome:
    """What the end of a submission means.

    Args:
        run: The run.
        stored: What its status says of the submission.
        remote: The submission, which has ended or is not known any more.
    """
    where = f"Run {stored.run_id or remote.run_id} on Databricks"
    state = remote.state
    if state is None or state.ending is None:
        text = (
            f"{where} is not known there any more, so nobody can say how it ended: Databricks keeps the history of "
            "runs for 60 days, and people can delete it."
        )
        return _unless_cancelled(run, stored, Outcome(Situation(Phase.FAILED, Reason.RUN_LOST, text)))
    if state.is_nothing:
        text = f"{where} is nothing but its token: the run itself was never submitted."
        return _unless_cancelled(run, stored, Outcome(Situation(Phase.FAILED, Reason.RUN_LOST, text)))
    match state.ending:
        case Ending.SUCCEEDED:
            return Outcome(Situation(Phase.SUCCEEDED, Reason.SUCCEEDED, f"{where} succeeded."))
        case Ending.CANCELLED:
            text = f"{where} was cancelled there, not by mlp.{_said(state)}"
            return _unless_cancelled(run, stored, Outcome(Situation(Phase.CANCELLED, Reason.CANCELLED, text)))
        case Ending.TIMED_OUT:
            return Outcome(Situation(Phase.FAILED, Reason.DEADLINE_EXCEEDED, _too_long(run, where, state)))
        case Ending.SKIPPED:
            text = f"{where} was never started: Databricks has skipped it ({state.words}).{_said(state)}"
            return _unless_cancelled(
                run, stored, Outcome(Situation(Phase.FAILED, Reason.RUN_SKIPPED, text), again=state.again)
            )
        case Ending.BROKEN:
            text = f"{where} could not be run ({state.words}).{_said(state)}"
            return _unless_cancelled(
                run, stored, Outcome(Situation(Phase.FAILED, Reason.WORKSPACE_FAILED, text), again=state.again)
            )
    text = f"{where} failed.{_said(state, remote.output)}"
    return Outcome(Situation(Phase.FAILED, Reason.ENTRY_POINT_FAILED, text), again=state.again)


def _unless_cancelled(run: ProjectRun, stored: DatabricksStatus, otherwise: Outcome) -> Outcome:
    """What an end means that we may have asked for."""
    match stored.cancel_reason:
        case None:
            return otherwise
        case Reason.SUSPENDED:
            text = "The run is held until spec.suspend becomes false. Then it is submitted to Databricks anew."
            return Outcome(Situation(Phase.SUSPENDED, Reason.SUSPENDED, text), held=True)
        case Reason.DEADLINE_EXCEEDED:
            text = (
                f"The run took longer than spec.activeDeadlineSeconds ({run.spec.active_deadline_seconds}) allows, and "
                "was cancelled on Databricks. Raise it in a new ProjectRun."
            )
            return Outcome(Situation(Phase.FAILED, Reason.DEADLINE_EXCEEDED, text))
        case Reason.PENDING_DEADLINE_EXCEEDED:
            return Outcome(too_late(run))
    text = "The run was shut down, as spec.shutdown asks, and has ended on Databricks."
    return Outcome(Situation(Phase.CANCELLED, Reason.CANCELLED, text))


def _too_long(run: ProjectRun, where: str, state: RunState) -> str:
    backend = run.spec.backend.databricks
    limits = {
        "spec.backend.databricks.timeoutSeconds": None if backend is None else backend.timeout_seconds,
        "spec.activeDeadlineSeconds": run.spec.active_deadline_seconds,
    }
    given = [f"{name} ({seconds})" for name, seconds in limits.items() if seconds is not None]
    allowed = " or ".join(given) if given else "its workspace"
    return f"{where} took longer than {allowed} allows. Raise the limit in a new ProjectRun.{_said(state)}"


def _said(state: RunState, output: RemoteOutput | None = None) -> str:
    """What Databricks says about an end, and the end of the log."""
    error = output.error if output is not None else None
    text = f" {error or state.message}".rstrip()
    log = _tail(output.log) if output is not None else ""
    return f"{text}\nThe end of its log:\n{log}" if log else text


def _tail(text: str) -> str:
    text = text.rstrip()
    if len(text.encode()) <= _LONGEST_LOG:
        return text
    cut = text.encode()[-_LONGEST_LOG:].decode(errors="ignore")
    return cut.partition("\n")[2] or cut
