"""Runs on this machine, as those who started them see them."""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from mlp.backends.local.process import end_group, start_group

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mlp.backends.local.preparation import Prepared

__all__ = ["EndedRun", "LocalRun"]

_CHUNK: Final = 65536
_BETWEEN_LOOKS: Final = 0.1


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that was waited for and succeeded. What it wrote went to this process's own outputs.

    Attributes:
        run_id: What the run is known by.
    """

    run_id: str

    def wait(self) -> bool:
        """True: it has succeeded."""
        return True

    def get_status(self) -> str:
        """FINISHED."""
        return "FINISHED"

    def cancel(self) -> None:
        """Does nothing: the run has ended."""

    def logs(self, *, follow: bool = False) -> Iterator[str]:  # noqa: ARG002 -- nothing follows
        """No lines: none were kept."""
        return iter(())


class LocalRun:
    """A run in the background. The interpreter waits for it at its end; interrupted in that, it cancels the run.

    Args:
        run_id: What the run is known by.
        preparation: Brings the project; left when the run has ended.
    """

    def __init__(self, run_id: str, preparation: AbstractContextManager[Prepared]) -> None:
        self._run_id = run_id
        self._preparation = preparation
        self._cancelled = False
        self._ended = threading.Event()
        prepared = preparation.__enter__()
        try:
            # A file without a name: it is gone when nobody can read it any more.
            self._output = tempfile.TemporaryFile(prefix="mlp-")  # noqa: SIM115 -- closed with the object
            self._process = start_group(prepared, stdin=subprocess.DEVNULL, output=self._output)
        except BaseException as error:
            preparation.__exit__(type(error), error, error.__traceback__)
            raise
        _under_way.add(self)
        # Not a daemon: the interpreter joins it, so a program that starts runs and ends does not lose them.
        threading.Thread(target=self._await, name=f"mlp-run-{run_id}").start()

    @property
    def run_id(self) -> str:
        """What the run is known by."""
        return self._run_id

    @property
    def exit_status(self) -> int | None:
        """The command's exit status, -n if signal n ended it; None while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self) -> bool:
        """Wait until the run has ended. True if it succeeded."""
        self._ended.wait()
        return self.get_status() == "FINISHED"

    def get_status(self) -> str:
        """RUNNING, FINISHED, FAILED or KILLED."""
        if not self._ended.is_set():
            return "RUNNING"
        if self._process.returncode == 0:
            return "FINISHED"
        return "KILLED" if self._cancelled else "FAILED"

    def cancel(self) -> None:
        """End every process of the run and wait until that is done: SIGTERM, and SIGKILL ten seconds later."""
        if not self._ended.is_set():
            self._cancelled = True
            end_group(self._process)
            self._ended.wait()

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """The lines that the command wrote to either output.

        Args:
            follow: Go on with what comes, until the run has ended.
        """
        position, rest = 0, b""
        while True:
            # Asked before reading: what was written before the end is then read for certain.
            last = not follow or self._ended.is_set()
            while chunk := os.pread(self._output.fileno(), _CHUNK, position):
                position += len(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if last:
                break
            self._ended.wait(_BETWEEN_LOOKS)
        if rest:
            yield rest.decode(errors="replace")

    def _await(self) -> None:
        try:
            self._process.wait()
        finally:
            self._preparation.__exit__(None, None, None)
            self._ended.set()
            _under_way.discard(self)

    def __del__(self) -> None:
        if hasattr(self, "_output"):
            self._output.close()


_under_way: WeakSet[LocalRun] = WeakSet()


@atexit.register
def _cancel_all() -> None:
    for run in list(_under_way):
        run.cancel()
