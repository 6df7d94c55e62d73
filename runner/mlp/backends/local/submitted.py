"""Runs on this machine, as those who started them see them."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from mlp.backends.local.echo import LastLines
from mlp.backends.local.process import end_group, start_group
from mlp.errors import MlpError, RunCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    from mlp.backends.local.execution import Execution

__all__ = ["ENDING", "EndedRun", "LocalRun", "also_when_cancelling", "cancel_soon", "cancel_with_us", "leave"]

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""The signals that end a process and that Python leaves to the system, unlike Ctrl-C's."""

_log = logging.getLogger(__name__)

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

    Its data and its environment are brought in the background too. What is wrong with them is in `error` and in the
    logs, and the run's status is FAILED.

    Args:
        execution: The run. Mistakes that can be seen at once are raised here.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._process: subprocess.Popen[bytes] | None = None
        self._status = "SCHEDULED"
        self._cancelled = False
        self._cancelled_at: int | None = None
        self._changing = threading.RLock()  # a signal handler cancels runs, whatever it interrupts
        self._ended = threading.Event()
        self._error: BaseException | None = None
        # A file without a name: it is gone when nobody can read it any more.
        self._output = tempfile.TemporaryFile(prefix="mlp-")  # noqa: SIM115 -- closed with the object
        execution.__enter__()
        try:
            self._run_id = execution.run_id
            _under_way.add(self)
            # Not a daemon: the interpreter joins it, so a program that starts runs and ends does not lose them.
            threading.Thread(target=self._live, name=f"mlp-run-{self._run_id}").start()
        except BaseException:
            _under_way.discard(self)
            execution.__exit__(*sys.exc_info())
            raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._run_id} {self._status}>"

    @property
    def run_id(self) -> str:
        """What the run is known by."""
        return self._run_id

    @property
    def exit_status(self) -> int | None:
        """The command's exit status, -n if signal n ended it; None while it runs, and if it was never started."""
        return self._process.returncode if self._ended.is_set() and self._process is not None else None

    @property
    def error(self) -> BaseException | None:
        """Why the command was never started; None where it was, and where that is not known yet."""
        return self._error

    def wait(self) -> bool:
        """Wait until the run has ended. True if it succeeded."""
        self._ended.wait()
        return self._status == "FINISHED"

    def get_status(self) -> str:
        """SCHEDULED while its data and environment are brought, then RUNNING, FINISHED, FAILED or KILLED."""
        return self._status

    def cancel(self) -> None:
        """End every process of the run and wait until that is done: SIGTERM, and SIGKILL ten seconds later."""
        with self._changing:
            process = self._process
            if not self._ended.is_set():
                self._cancelled = True
                self._cancelled_at = time.time_ns() // 1_000_000
                self._execution.stop.set()
        if process is not None and not self._ended.is_set():
            end_group(process)
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

    def last_lines(self) -> tuple[str, ...]:
        """The last lines that the command wrote."""
        last = LastLines()
        size = os.fstat(self._output.fileno()).st_size
        last.add(os.pread(self._output.fileno(), _CHUNK, max(0, size - _CHUNK)).decode(errors="replace"))
        return last()

    def _live(self) -> None:
        try:
            status = self._run()
        except BaseException as error:  # noqa: BLE001 -- a thread has nobody to raise to: it is told by `error`
            self._error = error
            status = "KILLED" if self._cancelled and isinstance(error, RunCancelled) else "FAILED"
            self._tell(error)
        try:
            try:
                self._execution.finish(status, told_to_end=self._cancelled_at)
            finally:
                self._execution.__exit__(None, None, None)
        except BaseException as error:  # noqa: BLE001 -- as above
            self._error = self._error or error
            self._tell(error)
        finally:
            self._status = status
            self._ended.set()
            _under_way.discard(self)
        if status == "FAILED":
            # Nobody may ever ask.
            ended = f"its command ended with status {self.exit_status}; logs() has what it wrote"
            _log.warning("Run (ID '%s') failed: %s", self._run_id, self._error or ended)

    def _run(self) -> str:
        command = self._execution.prepare()
        with self._changing:
            if self._cancelled:
                raise RunCancelled(f"Run (ID '{self._run_id}') was cancelled before its command was started.")
            self._process = start_group(command, stdin=subprocess.DEVNULL, output=self._output)
            self._status = "RUNNING"
        try:
            self._process.wait()
        finally:
            if self._cancelled and command.end is not None:
                command.end()
        if self._cancelled:
            return "KILLED"
        return "FINISHED" if self._process.returncode == 0 else "FAILED"

    def _tell(self, error: BaseException) -> None:
        said = str(error) if isinstance(error, MlpError) else f"{type(error).__name__}: {error}"
        os.write(self._output.fileno(), f"Error: {said}\n".encode())

    def __del__(self) -> None:
        if hasattr(self, "_output"):
            self._output.close()


_under_way: WeakSet[LocalRun] = WeakSet()


def cancel_with_us() -> None:
    """From now on, whatever ends this process early cancels its runs first: SIGTERM, SIGHUP, an uncaught Ctrl-C.

    Signals that somebody else handles stay theirs. Python lets only the main thread set handlers: a program whose other
    threads alone start runs is ended by SIGTERM at once.
    """
    global _prepared, _hooked  # noqa: PLW0603 -- handlers belong to the process, and so do these
    if not _prepared and threading.current_thread() is threading.main_thread():
        _prepared = True
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, leave)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
    if _hooked:
        return
    _hooked = True
    before = sys.excepthook

    def after_ctrl_c(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        before(kind, error, traceback)
        if issubclass(kind, KeyboardInterrupt):
            _call_others()
            _cancel_all()

    sys.excepthook = after_ctrl_c


_prepared = _hooked = False
_process = os.getpid()
_others: list[Callable[[], None]] = []


def also_when_cancelling(function: Callable[[], None]) -> None:
    """Have something else done, in a thread of its own, when whatever ends this process early cancels its runs."""
    if function not in _others:
        _others.append(function)


def _call_others() -> None:
    for function in _others:
        threading.Thread(target=function, name="mlp-cancel").start()


def leave(number: int, _frame: FrameType | None) -> None:
    """Handle a signal that ends this process: cancel its runs, and unwind."""
    if os.getpid() != _process:  # a child that was forked a moment ago
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    if not threading.main_thread().is_alive():
        _end_by(number)
        return
    cancel_soon()
    sys.exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Python's own answer to Ctrl-C, but where it would be ignored."""
    if os.getpid() == _process and not threading.main_thread().is_alive():
        _end_by(number)
        return
    signal.default_int_handler(number, frame)


def _end_by(number: int) -> None:
    """End by a signal while Python waits for the runs at its end, where it would swallow any exception."""
    for function in _others:
        function()
    _cancel_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def cancel_soon() -> None:
    """Have the runs in the background cancelled, without waiting for that."""
    # In a thread: this one may hold a lock that cancelling needs. The interpreter waits for it, and for the runs.
    _call_others()
    threading.Thread(target=_cancel_all, name="mlp-cancel").start()


def _forget() -> None:
    """In a forked child: the runs are its parent's, and a signal to the child is none of their business."""
    global _prepared, _process  # noqa: PLW0603 -- as above
    _under_way.clear()
    _others.clear()
    for number in ENDING:
        if signal.getsignal(number) is leave:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _prepared = False
    _process = os.getpid()


os.register_at_fork(after_in_child=_forget)


@atexit.register
def _cancel_all() -> None:
    threads = [threading.Thread(target=run.cancel) for run in list(_under_way)]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError:  # the interpreter ends and starts no more threads: one after the other, then
        for run in list(_under_way):
            run.cancel()
        return
    for thread in threads:
        thread.join()
