"""Commands as process groups: started, waited for, signalled and ended as a whole.

A command may be a pipeline or start processes of its own. Each runs in a group of its own, so that whoever ends it ends
all of it, and a run that was ended leaves nothing behind. What a command leaves that ends by itself is meant to stay.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from mlp.backends.local.terminal import Terminal
from mlp.backends.local.waiting import wait_for_change
from mlp.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from mlp.backends.local.echo import Echo
    from mlp.backends.local.environment import Command

__all__ = ["GRACE", "Ended", "end_group", "grace", "grace_within", "run_in_foreground", "start_group"]

GRACE: Final = 10.0
"""Seconds that a command has to end after SIGTERM before it is killed: what containers get from Docker."""

_INHERITED: Final = "MLP_GRACE"
"""The variable that tells a program in a command how long the runs have that it starts."""

_BETWEEN_LOOKS: Final = 0.03

_log = logging.getLogger(__name__)

_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Its exit status; -n for one that signal n ended.
        signalled: The signal that was passed on to it; 0 for none.
        told_to_end: When that was, in milliseconds since 1970.
        last_lines: The last lines that it wrote, where its output was echoed.
    """

    status: int
    signalled: int
    told_to_end: int | None
    last_lines: tuple[str, ...] = ()


def start_group(
    command: Command, *, stdin: int | None = None, output: IO[bytes] | int | None = None, error: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, in the project's directory.

    Args:
        command: The command.
        stdin: Its standard input; our own if None.
        output: Where its standard output goes; our own if None.
        error: Where its standard error goes; with the standard output if None.

    Raises:
        UsageError: There is no such program.
    """
    try:
        return subprocess.Popen(
            command.arguments,
            cwd=command.directory,
            env=command.variables,
            stdin=stdin,
            stdout=output,
            stderr=output if error is None else error,
            process_group=0,
        )
    except OSError as problem:
        if problem.errno == errno.ENOENT and command.directory.is_dir():
            program = command.arguments[0]
            advice = "entry points are bash commands. Install bash." if program == "bash" else f"Install {program}."
            raise UsageError(f"There is no {program} on PATH; {advice}") from problem
        raise


def run_in_foreground(command: Command, echo: Echo | None = None) -> Ended:
    """Run a command with our own standard input and outputs, and wait for it.

    Signals that would end us are passed on to the command instead, which decides how to end.

    Args:
        command: The command.
        echo: Copies its outputs to ours; None to let it have them.
    """
    with _Forwarding() as forwarding, echo or nullcontext():
        outputs = {} if echo is None else {"output": echo.output, "error": echo.error}
        process = start_group(command, **outputs)
        try:
            if echo is not None:
                echo.begin()
            forwarding.begin(process.pid)
            terminal = Terminal.of_standard_input()
            process.returncode = terminal.wait(process.pid) if terminal else _wait(process.pid)
        except BaseException:
            # A signal handler of the caller raised: there is nobody left to wait for the command.
            end_group(process)
            process.wait()
            if command.end is not None:
                command.end()
            raise
        signalled = forwarding.received or max(-process.returncode, 0)
        if signalled:
            # The shell may be gone before what it started: take care of that too.
            end_group(process, again=signalled != signal.SIGTERM)
            if command.end is not None:
                command.end()
    return Ended(
        process.returncode, forwarding.received, forwarding.received_at, echo.last_lines() if echo is not None else ()
    )


def _wait(process: int) -> int:
    return os.waitstatus_to_exitcode(wait_for_change(process))


def grace() -> float:
    """Seconds that the commands of this process have to end."""
    try:
        return float(os.environ[_INHERITED])
    except (KeyError, ValueError):
        return GRACE


def grace_within() -> dict[str, str]:
    """What a command is told, so that a workflow which is ended still sees the end of the runs that it has started."""
    return {_INHERITED: f"{grace() / 2:g}"}


def end_group(leader: subprocess.Popen[bytes], *, again: bool = True) -> None:
    """End every process of a group: SIGTERM, and SIGKILL for what is left after the grace period.

    Args:
        leader: The process that the group was started with, ended or not.
        again: Whether to send SIGTERM; not where the group has had it already.
    """
    group = leader.pid
    try:
        if again:
            os.killpg(group, signal.SIGTERM)
            os.killpg(group, signal.SIGCONT)  # a stopped process acts on SIGTERM only when it goes on
        deadline = time.monotonic() + grace()
        while _runs(group):
            if time.monotonic() > deadline:
                os.killpg(group, signal.SIGKILL)
                return
            time.sleep(_BETWEEN_LOOKS)
            leader.poll()
    except ProcessLookupError:
        return
    except PermissionError:
        _log.warning("The command runs as another user, and this one may not end it: process group %s goes on.", group)


def _runs(group: int) -> bool:
    """Whether a process of the group runs.

    One that has ended counts for the kernel until its parent has asked for its status. The parent of what a shell left
    behind is process 1, which in a container may never ask.
    """
    os.killpg(group, 0)
    try:
        processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    except OSError:
        return True
    return any(_runs_in(entry, group) for entry in processes) if processes else True


def _runs_in(process: Path, group: int) -> bool:
    try:
        # The name before ")" may hold anything; behind it stand the state, the parent and the group.
        state, _, its_group = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(its_group) == group and state not in {"Z", "X"}


class _Forwarding:
    """Passes the signals that would end this process on to a group, from before the group exists until it has ended.

    Python delivers signals to the main thread alone. In another thread this does nothing: the signals are then for
    whoever runs the main thread.

    A command decides itself how long it takes to end after SIGTERM. Not so within another run: whoever ends that one
    kills it after a while, and only ourselves with it, so what we have started has to have ended before.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self.received: int = 0
        self.received_at: int | None = None
        self._group: int | None = None
        self._killing: threading.Timer | None = None
        self._before: dict[int, signal.Handlers | object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _FORWARDED:
                # What is ignored stays ignored, as under nohup.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._killing is not None:
            self._killing.cancel()

    def begin(self, group: int) -> None:
        """Forward to this group from now on, and what has come already."""
        self._group = group
        if self.received:
            self._send(self.received)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child that another thread has forked: the command is not its own
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = number
        self.received_at = self.received_at or time.time_ns() // 1_000_000
        self._send(number)

    def _send(self, number: int) -> None:
        if self._group is not None:
            try:
                os.killpg(self._group, number)
            except ProcessLookupError:
                self._group = None
            except PermissionError:  # it has become somebody else, by sudo for instance, and has to be told by them
                return
            if number == signal.SIGTERM and self._killing is None and _INHERITED in os.environ:
                self._killing = threading.Timer(grace(), self._kill)
                self._killing.daemon = True
                self._killing.start()

    def _kill(self) -> None:
        if self._group is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
