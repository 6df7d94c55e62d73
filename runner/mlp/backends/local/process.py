"""Commands as process groups: started, waited for, signalled and ended as a whole.

A command may be a pipeline or start processes of its own. Each runs in a group of its own, so that whoever ends it ends
all of it and a run that is over leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from mlp.backends.local.terminal import Terminal
from mlp.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from mlp.backends.local.preparation import Prepared

__all__ = ["GRACE", "end_group", "run_in_foreground", "start_group"]

GRACE: Final = 10.0
"""Seconds that a command has to end after SIGTERM before it is killed: what containers get from Docker."""

_BETWEEN_LOOKS: Final = 0.03

_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def start_group(
    prepared: Prepared, *, stdin: int | None = None, output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, in the project's directory.

    Args:
        prepared: The command.
        stdin: Its standard input; our own if None.
        output: Where both of its outputs go; our own if None.

    Raises:
        UsageError: There is no bash.
    """
    try:
        return subprocess.Popen(
            ["bash", "-c", prepared.invocation.command],
            cwd=prepared.directory,
            env=prepared.variables,
            stdin=stdin,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    except OSError as error:
        if error.errno == errno.ENOENT and prepared.directory.is_dir():
            raise UsageError("There is no bash on PATH; entry points are bash commands. Install bash.") from error
        raise


def run_in_foreground(prepared: Prepared) -> int:
    """Run a command with our own standard input and outputs, and wait for it.

    Signals that would end us are passed on to the command instead, which decides how to end.

    Returns:
        Its exit status; -n for a command that signal n ended.
    """
    with _Forwarding() as forwarding:
        process = start_group(prepared)
        try:
            forwarding.begin(process.pid)
            terminal = Terminal.of_standard_input()
            process.returncode = terminal.wait(process.pid) if terminal else process.wait()
        except BaseException:
            # A signal handler of the caller raised: there is nobody left to wait for the command.
            end_group(process)
            process.wait()
            raise
        signalled = forwarding.received or max(-process.returncode, 0)
    if signalled:
        # The shell may be gone before what it started: take care of that too.
        end_group(process, again=signalled != signal.SIGTERM)
    return process.returncode


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
        deadline = time.monotonic() + GRACE
        while _runs(group):
            if time.monotonic() > deadline:
                os.killpg(group, signal.SIGKILL)
                return
            time.sleep(_BETWEEN_LOOKS)
            leader.poll()
    except ProcessLookupError:
        return


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
    """

    def __init__(self) -> None:
        self.received: int = 0
        self._group: int | None = None
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

    def begin(self, group: int) -> None:
        """Forward to this group from now on, and what has come already."""
        self._group = group
        if self.received:
            self._send(self.received)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        self._send(number)

    def _send(self, number: int) -> None:
        if self._group is not None:
            try:
                os.killpg(self._group, number)
            except ProcessLookupError:
                self._group = None
