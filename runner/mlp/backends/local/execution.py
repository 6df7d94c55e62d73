"""One run on this machine, from its request to its end, and its record in step with it.

Whoever owns an Execution decides only how the command is started and waited for: in the foreground or in the
background. However the run ends, by its command, a mistake, a signal or an exception, its record gets a terminal
status.
"""

from __future__ import annotations

import logging
import shlex
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from mlp.backends.local.downloads import Downloads
from mlp.backends.local.environment import Command, Surroundings, choose
from mlp.backends.local.preparation import bring_and_resolve
from mlp.backends.local.process import grace_within
from mlp.backends.local.recording import PARENT, Record, begin
from mlp.backends.local.side_by_side import side_by_side
from mlp.errors import RunCancelled
from mlp.source import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mlp.backends.local.preparation import Known
    from mlp.backends.local.request import Request
    from mlp.environment import BuiltEnvironment

__all__ = ["Execution"]

MASK: Final = "***"

_log = logging.getLogger(__name__)


class Execution:
    """A run: entered, it is known and recorded; left, it has ended and nothing of it is left behind.

    Args:
        request: What is asked for.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.stop = threading.Event()
        self._cleaning = ExitStack()
        self._known: Known
        self._surroundings: Surroundings
        self._record: Record
        self._end: tuple[str, int | None] | None = None
        self._finished = False

    def __enter__(self) -> Self:
        try:
            self._known = bring_and_resolve(self.request, self._cleaning, self._downloads())
            self._surroundings = choose(
                self._known.invocation.environment, self.request.env_manager, self._known.directory
            )
            if self.request.docker_args and self._surroundings.engine is None:
                _log.warning("-A (docker_args) is for projects that run in a container; it is not used here.")
            self._record = self._begin(self._known)
        except BaseException:
            self._cleaning.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        status = "KILLED" if isinstance(error, (KeyboardInterrupt, SystemExit, RunCancelled)) else "FAILED"
        try:
            self.finish(status)
        except (KeyboardInterrupt, SystemExit):
            # Whoever presses Ctrl-C twice is in a hurry, and wants a true record all the same.
            self.finish(status)
            raise
        finally:
            self._cleaning.close()

    @property
    def run_id(self) -> str:
        """What the run is known by: its ID in the tracking store, or one of its own without a store."""
        return self._record.run_id

    def _begin(self, known: Known) -> Record:
        """The run's record, begun now that everything that can be wrong at once is known to be right."""
        return begin(self.request, known)

    def _downloads(self) -> Downloads:
        """Where the data goes that parameters name on other machines."""
        return Downloads(self.request.storage_dir, self._cleaning)

    def prepare(self) -> Command:
        """Bring the data and build the environment, side by side.

        Raises:
            MlpError: One of them failed.
            RunCancelled: `stop` was set.
        """
        if tags := self._surroundings.tags:
            self._record.set_tags(tags)
        built: list[BuiltEnvironment] = []

        def environment() -> None:
            if (provided := self._surroundings.provide(self.stop)) is not None:
                built.append(provided)

        record = self._record.environment()
        tasks: list[Callable[[], None]] = self._known.downloads.tasks(
            tracking_uri=self.request.tracking_uri, stop=self.stop
        )
        side_by_side([*tasks, environment], self.stop)
        if self.stop.is_set():
            raise RunCancelled(f"Run (ID '{self.run_id}') was cancelled before its command was started.")
        for provided in built:
            self._cleaning.enter_context(provided.hold())
        command = self._surroundings.command(
            self._known.invocation.command,
            directory=self._known.directory,
            run_id=self.run_id,
            record={**record, **grace_within(), PARENT: self.run_id},
            artifact_uri=self._record.artifact_uri,
            activate=built[0].activate if built else None,
            docker_args=self.request.docker_args,
            paths=self._known.local_paths(),
        )
        _log.info("=== Running command '%s' in run with ID '%s' ===", self._shown_command(), self.run_id)
        return command

    def finish(self, status: str, *, told_to_end: int | None = None) -> None:
        """Record how the run ended. The first word counts; where writing it was interrupted, call this again.

        Args:
            status: FINISHED, FAILED or KILLED.
            told_to_end: When the command got a signal to end, in milliseconds since 1970; None if it got none.
        """
        if self._finished:
            return
        self._end = self._end or (status, told_to_end)
        status, told_to_end = self._end
        kept = self._record.finish(status, told_to_end=told_to_end)
        self._finished = True
        if kept != status:
            _log.info("The project's own code has set the run's status to %s, which is kept.", kept)

    def _shown_command(self) -> str:
        """The command with the values of secret parameters masked, however they are quoted."""
        shown = self._known.invocation.command
        for parameter in self._known.invocation.parameters:
            if parameter.name in self.request.secrets and parameter.value:
                for form in (shlex.quote(parameter.value), parameter.value):
                    shown = shown.replace(form, MASK)
        return redact(shown)
