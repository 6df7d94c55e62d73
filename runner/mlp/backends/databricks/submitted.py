"""A run on Databricks, as MLflow's programs know runs: wait, get_status, cancel, logs; and what Databricks adds.

Its state comes from the one poll loop of its workspace. However it ends, its run in MLflow is told: the program on the
cluster has mostly done so, but one that was never started, or was killed, has not. An outage of the workspace is no
end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from mlp.backends.databricks.outcome import Outcome, mlflow_status, outcome_of, raise_for_outcome
from mlp.backends.databricks.output import Output, output_of
from mlp.backends.databricks.states import Life, state_of
from mlp.errors import (
    MlpError,
    RunError,
    RunFailed,
    UsageError,
    WaitTimedOut,
    WorkspaceError,
    WorkspaceNotFound,
    WorkspaceRefused,
    WorkspaceUnavailable,
)
from mlp.tracking import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mlp.backends.databricks.polling import Poller, Sighting
    from mlp.backends.databricks.states import RunState
    from mlp.backends.databricks.workspace import Workspace

__all__ = ["DatabricksRun", "Record"]

_CANCELLED_WITHIN: Final = 600.0
"""Seconds in which a run that was cancelled has ended: a cluster that is being made ready takes its time."""
_BETWEEN_LOOKS: Final = 1.0
_ATTEMPTS: Final = 4
_LONGEST_PAUSE: Final = 15.0
_RECORDS_AT_ONCE: Final = 8
"""Ends that are written at the same time: a driver may have hundreds of runs."""

_log = logging.getLogger(__name__)
_writing = threading.BoundedSemaphore(_RECORDS_AT_ONCE)


class Record(Protocol):
    """What a run needs of its record in MLflow."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change them."""

    def finish(self, status: str, *, told_to_end: int | None = None) -> str:
        """Write how the run ended; returns what stands there in the end."""


class DatabricksRun:
    """A run of the Jobs API, by its number. It can be taken up from anywhere, by anyone who may see it.

    Args:
        workspace: Where it is.
        poller: Who looks at it.
        databricks_run_id: Its number there.
        run_id: What it is known by: its run in MLflow, or else its own unique text.
        record: Its record in MLflow; None where there is none.
        status_check_timeout: Seconds for which its state may be unreadable before waiting is given up.
    """

    def __init__(
        self,
        workspace: Workspace,
        poller: Poller,
        databricks_run_id: int,
        *,
        run_id: str,
        record: Record | None = None,
        status_check_timeout: float = 1800.0,
    ) -> None:
        self.workspace = workspace
        self.databricks_run_id = databricks_run_id
        self._poller = poller
        self._run_id = run_id
        self._record = record
        self._patience = status_check_timeout
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._following = False
        self._state: RunState | None = None
        self._gone = False
        self._trouble: tuple[WorkspaceError, datetime, float] | None = None
        self._outcome: Outcome | None = None
        self._asked_to_end = False
        self._error: RunError | None = None
        self._settling = False
        self._failure_told = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.databricks_run_id} at {self.workspace.host}>"

    @property
    def run_id(self) -> str:
        """MLflow's run ID; a text of its own for a run that is recorded nowhere."""
        return self._run_id

    @property
    def url(self) -> str | None:
        """The run's page in the workspace, as soon as it is known."""
        return self._state.page_url if self._state is not None else None

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None as long as it goes on, as far as is known."""
        return self._outcome

    @property
    def error(self) -> RunError | None:
        """Why it did not succeed; None where it did, and where that is not known yet."""
        return self._error

    @property
    def exit_status(self) -> int | None:
        """The command's exit status, 128 + n if signal n ended it; None while it runs, and where nobody tells it."""
        if self._outcome is not None and self._outcome.status == "FINISHED":
            return 0
        return self._error.status if isinstance(self._error, RunFailed) else None

    @property
    def trouble(self) -> WorkspaceError | None:
        """Why it cannot be looked at for now; None if it can, as far as is known."""
        trouble = self._trouble
        return None if trouble is None else trouble[0]

    @property
    def asked_to_end(self) -> bool:
        """Whether the workspace has taken a request of ours to cancel it."""
        return self._asked_to_end

    def state(self) -> RunState:
        """What Databricks says of it now.

        Raises:
            WorkspaceNotFound: Databricks does not know the run any more.
            WorkspaceError: The workspace does not answer, or does not allow it.
        """
        state = state_of(self.workspace.run(self.databricks_run_id))
        with self._changed:
            self._see(state)
            self._changed.notify_all()
        return state

    def follow(self) -> None:
        """Have it looked at from now on, so that its end is recorded whether or not anybody waits.

        Raises:
            UsageError: This process is a copy (a fork) of the one that it belongs to.
        """
        if self._outcome is None and os.getpid() != self._process:
            # Whoever looks at it is a thread there, and would be waited for in vain.
            raise UsageError(
                f"Run {self.databricks_run_id} on Databricks belongs to process {self._process}, of which this one is "
                "a copy: wait for it there, or submit it here."
            )
        with self._changed:
            if self._following or self._settling:
                return
            self._following = True
        self._poller.follow(self.databricks_run_id, self._told)

    def states(self, *, timeout: float | None = None) -> Iterator[RunState]:
        """Its state, and again whenever that changes, until it has ended and MLflow knows.

        Args:
            timeout: Seconds after which to give up.

        Raises:
            WaitTimedOut: The time is over, or its state could not be read for too long. The run goes on.
        """
        self.follow()
        until = None if timeout is None else time.monotonic() + timeout
        seen: RunState | None = None
        while True:
            with self._changed:
                if self._outcome is None and self._state is seen:
                    # In slices: a signal's handler runs between two of them at the latest.
                    left = _BETWEEN_LOOKS if until is None else until - time.monotonic()
                    self._changed.wait(max(0.0, min(_BETWEEN_LOOKS, left)))
                state, outcome, trouble = self._state, self._outcome, self._trouble
            if state is not None and state is not seen:
                seen = state
                yield state
            if outcome is not None:
                return
            self._check_patience(trouble)
            if until is not None and time.monotonic() >= until:
                raise WaitTimedOut(
                    f"Run {self.databricks_run_id} on Databricks has not ended in {timeout:g} s. It goes on."
                )

    def wait(self, *, timeout: float | None = None) -> bool:
        """Wait until the run has ended. True if it succeeded.

        Args:
            timeout: Seconds after which to give up.

        Raises:
            WaitTimedOut: The time is over, or its state could not be read for too long. The run goes on.
        """
        status = self.ended(timeout=timeout).status
        if status == "FAILED" and not self._failure_told:
            self._failure_told = True
            _log.warning("%s", self._error)
        return status == "FINISHED"

    def ended(self, *, timeout: float | None = None) -> Outcome:
        """Wait until the run has ended. How it has.

        Raises:
            WaitTimedOut: As for `wait`.
        """
        deque(self.states(timeout=timeout), maxlen=0)
        assert self._outcome is not None  # noqa: S101 -- there are no more states
        return self._outcome

    def get_status(self) -> str:
        """RUNNING, SCHEDULED, FINISHED, FAILED or KILLED."""
        if self._outcome is None and (self._state is None or not self._following):
            try:
                self.state()
            except WorkspaceNotFound:
                with self._changed:
                    self._gone = True
                    self._settle_soon()
        if (self._state is not None and self._state.life is Life.ENDED) or self._gone:
            # The record is being written.
            return self.ended().status
        return mlflow_status(self._state)

    def cancel(self) -> None:
        """Have the run ended, and wait until it has. Does nothing to a run that has ended.

        Raises:
            WaitTimedOut: It has not ended in time. What it is then, the message says.
            WorkspaceError: The workspace does not answer, or does not allow it.
        """
        self.follow()
        if self._outcome is not None:
            return
        until = time.monotonic() + _CANCELLED_WITHIN
        self._ask_to_cancel(until)
        try:
            self.ended(timeout=max(0.0, until - time.monotonic()))
        except WaitTimedOut:
            words = self._state.words if self._state is not None else "unknown"
            raise WaitTimedOut(
                f"Databricks was asked to cancel run {self.databricks_run_id}, and it has not ended yet: its state is "
                f"{words}. Look at {self.url or self.workspace.host}"
            ) from None

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """The last lines that the run wrote, then its error. Databricks tells of no output before the end.

        Args:
            follow: Wait for the end.
        """
        if follow:
            self.ended()
        output = self.output()
        return iter(()) if output is None else output.lines()

    def last_lines(self) -> tuple[str, ...]:
        """The last lines that the run wrote; none before its end."""
        if isinstance(self._error, RunFailed):
            return self._error.last_lines
        output = self.output()
        return () if output is None else output.last_lines()

    def output(self) -> Output | None:
        """What the run wrote, as far as Databricks has it; None for a run that Databricks knows no output of.

        Raises:
            WorkspaceError: The workspace does not answer, or does not allow it.
        """
        state = self._state
        if state is None or state.task_run_id is None:
            try:
                state = self.state()
            except WorkspaceNotFound:
                return None
        if state.task_run_id is None:
            return None
        try:
            return output_of(self._patiently_output(state.task_run_id))
        except (WorkspaceNotFound, WorkspaceRefused):
            # A run that was skipped, or was cancelled before it began, has none.
            return None

    def _patiently_output(self, task_run_id: int) -> Mapping[str, object]:
        for attempt in range(1, _ATTEMPTS):
            try:
                return self.workspace.output(task_run_id)
            except WorkspaceUnavailable as error:
                time.sleep(min(max(error.after, attempt), _LONGEST_PAUSE))
        return self.workspace.output(task_run_id)

    def _ask_to_cancel(self, until: float) -> None:
        told = False
        while True:
            try:
                self.workspace.cancel(self.databricks_run_id)
            except WorkspaceNotFound:
                self._asked_to_end = True
                return  # there is nothing to end, as looking at it will tell
            except WorkspaceUnavailable as error:
                if time.monotonic() > until:
                    raise
                if not told:
                    told = True
                    _log.warning(
                        "Run %s on Databricks cannot be cancelled for now, and it is tried again: %s",
                        self.databricks_run_id,
                        error,
                    )
                with self._changed:
                    if self._outcome is None:
                        self._changed.wait(min(max(error.after, _BETWEEN_LOOKS), _LONGEST_PAUSE))
            else:
                self._asked_to_end = True
                return

    def _told(self, sighting: Sighting) -> None:
        """What the poll loop has seen."""
        with self._changed:
            if sighting.trouble is None:
                if self._trouble is not None:
                    _log.info("Run %s on Databricks can be looked at again.", self.databricks_run_id)
                self._trouble = None
            elif self._trouble is None:
                self._trouble = (sighting.trouble, sighting.at, time.monotonic())
                _log.warning(
                    "The state of run %s on Databricks cannot be read for now: %s",
                    self.databricks_run_id,
                    sighting.trouble,
                )
            if sighting.gone:
                self._gone = True
                self._settle_soon()
            elif sighting.state is not None:
                self._see(sighting.state)
            self._changed.notify_all()

    def _see(self, state: RunState) -> None:
        if self._state is None or self._state.life is not Life.ENDED:
            if state != self._state:
                self._state = state
            if state.life is Life.ENDED:
                self._settle_soon()

    def _settle_soon(self) -> None:
        """Have the end recorded, in a thread of its own: the poll loop has other runs to look at."""
        if self._settling:
            return
        self._settling = True
        thread = threading.Thread(target=self._settle, name=f"mlp-databricks-{self.databricks_run_id}")
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends: nobody will ask any more, and MLflow is told by the run itself
            self._settling = False

    def _settle(self) -> None:
        outcome = outcome_of(self.databricks_run_id, None if self._gone else self._state)
        output = None
        if outcome.status == "FAILED" and not outcome.lost:
            # How it ended is known; what it wrote, and said of its end, may not be there.
            with contextlib.suppress(MlpError):
                output = self.output()
        if output is not None:
            outcome = outcome.explained(output)
        if self._record is not None:
            with _writing:
                outcome = self._recorded(self._record, outcome)
        error = self._error_of(outcome, output)
        if self._following:
            self._poller.leave(self.databricks_run_id)
        with self._changed:
            self._error = error
            self._outcome = outcome
            self._changed.notify_all()

    def _error_of(self, outcome: Outcome, output: Output | None) -> RunError | None:
        try:
            raise_for_outcome(outcome, name=f"Run (ID '{self._run_id}')", output=output)
        except RunError as error:
            return error.with_traceback(None)
        return None

    def _recorded(self, record: Record, outcome: Outcome) -> Outcome:
        # Of a run that somebody cancelled, whatever was written in its last moments is no verdict of its own.
        kept = record.finish(outcome.status, told_to_end=0 if outcome.status == "KILLED" else None)
        if outcome.reason and kept == outcome.status:
            with contextlib.suppress(MlpError):
                record.set_tags({names.REASON: outcome.reason, names.MESSAGE: outcome.message})
        return outcome.known_to_mlflow(kept)

    def _check_patience(self, trouble: tuple[WorkspaceError, datetime, float] | None) -> None:
        if trouble is None:
            return
        error, at, since = trouble
        if time.monotonic() - since >= self._patience:
            raise WaitTimedOut(
                f"The state of run {self.databricks_run_id} on Databricks could not be read since "
                f"{at.astimezone():%Y-%m-%d %H:%M:%S %z}, so mlp waits no longer. The run may go on; look at "
                f"{self.url or self.workspace.host}. {error}"
            )
