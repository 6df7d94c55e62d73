"""How a run on Databricks ended, in MLflow's words and in ours. Pure: a state in, an outcome out."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.states import Ending, Life
from mlp.errors import RunCancelled, RunError, RunFailed

if TYPE_CHECKING:
    from mlp.backends.databricks.output import Output
    from mlp.backends.databricks.states import RunState

__all__ = ["Outcome", "in_its_own_words", "is_ours", "mlflow_status", "outcome_of", "raise_for_outcome"]

_STATUS: Final = re.compile(r"\bended with exit status (?P<status>[1-9]\d{0,2})\b")
_SIGNAL: Final = re.compile(r"\bwas ended by (?P<signal>SIG[A-Z0-9]+)\b")
"""What the bootstrap's exception says of the command: a driver itself tells of no exit status."""
_OURS: Final = re.compile(r"^RunFailed: (?:\w+: )?(?:Run \(ID '[\w-]+'\) failed: )?")
"""How that exception's message begins: with another ID than the run has here, where it is recorded nowhere."""

_UNDER_WAY: Final = {Life.QUEUED: "SCHEDULED", Life.PENDING: "SCHEDULED"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run.

    Attributes:
        status: MLflow's word: FINISHED, FAILED or KILLED.
        reason: The reason in a word, as a ProjectRun's condition has it; "" for success.
        message: The same in a sentence.
        lost: Whether Databricks does not know the run any more.
    """

    status: str
    reason: str = ""
    message: str = ""
    lost: bool = False

    def known_to_mlflow(self, status: str) -> Outcome:
        """The outcome of a run whose record says this, which tells more only where Databricks tells nothing."""
        if not self.lost or status == self.status:
            return self
        word = "it succeeded" if status == "FINISHED" else f"its status is {status}"
        return replace(
            self,
            status=status,
            reason="" if status == "FINISHED" else self.reason,
            message=f"{self.message} By its record in MLflow {word}.",
        )

    def explained(self, output: Output) -> Outcome:
        """The outcome of a run of which this is known too: Databricks' own message only says that there is an error."""
        if self.reason != "EntryPointFailed" or not output.error:
            return self
        where, _, _ = self.message.partition(" failed")
        return replace(self, message=f"{where} failed: {_OURS.sub('', output.error, count=1)}")


def mlflow_status(state: RunState | None) -> str:
    """MLflow's word for a run that goes on: RUNNING or SCHEDULED."""
    if state is None or state.life is None:
        return "RUNNING"
    return _UNDER_WAY.get(state.life, "RUNNING")


def outcome_of(run_id: int, state: RunState | None) -> Outcome:
    """The outcome of a run that has ended.

    Args:
        run_id: Its number.
        state: Its last state; None for one that Databricks does not know any more.
    """
    where = f"Run {run_id} on Databricks"
    if state is None:
        text = (
            f"{where} is not known there any more, so nobody can say how it ended: Databricks keeps the history of "
            "runs for 60 days, and people can delete it."
        )
        return Outcome("FAILED", "RunLost", text, lost=True)
    said = f": {state.message}" if state.message else "."
    match state.ending:
        case Ending.SUCCEEDED:
            return Outcome("FINISHED")
        case Ending.CANCELLED:
            return Outcome("KILLED", "Cancelled", f"{where} was cancelled{said}")
        case Ending.TIMED_OUT:
            text = f"{where} took longer than its limit (timeout_seconds) allows{said}"
            return Outcome("FAILED", "DeadlineExceeded", text)
        case Ending.SKIPPED:
            return Outcome("FAILED", "RunSkipped", f"{where} was never started ({state.words}){said}")
        case Ending.BROKEN:
            return Outcome("FAILED", "WorkspaceFailed", f"{where} could not be run ({state.words}){said}")
    return Outcome("FAILED", "EntryPointFailed", f"{where} failed{said}")


def raise_for_outcome(outcome: Outcome, *, name: str, output: Output | None = None) -> None:
    """Do nothing for a run that succeeded.

    Args:
        outcome: How it ended.
        name: What the run is called for its user.
        output: What it wrote, where that is known.

    Raises:
        RunCancelled: Somebody has cancelled it.
        RunFailed: Its command failed.
        RunError: It failed otherwise.
    """
    if outcome.status == "FINISHED":
        return
    if outcome.status == "KILLED":
        raise RunCancelled(f"{name} was cancelled. {outcome.message}")
    error = (output.error if output is not None else None) or ""
    if outcome.reason != "EntryPointFailed":
        raise RunError("\n".join(filter(None, (f"{name} failed: {outcome.message}", error))))
    # Databricks' own message only says that there is an error.
    text = f"{name} failed: {in_its_own_words(error) if error else outcome.message}"
    status = _exit_status(error)
    if output is None or status is None:
        raise RunError(text)
    raise RunFailed(text, status=status, last_lines=output.last_lines())


def is_ours(error: str | None) -> bool:
    """Whether an error is the bootstrap's word for a command that failed. Where in it that was is of no interest."""
    return _OURS.match(error or "") is not None


def in_its_own_words(error: str) -> str:
    """What failed, without the words in which the bootstrap wraps it."""
    return _OURS.sub("", error, count=1)


def _exit_status(error: str) -> int | None:
    """The command's exit status, as a shell has it; None where the run's error does not tell."""
    if found := _STATUS.search(error):
        return int(found["status"])
    found = _SIGNAL.search(error)
    name = found["signal"] if found else ""
    return 128 + signal.Signals[name] if name in signal.Signals.__members__ else None
