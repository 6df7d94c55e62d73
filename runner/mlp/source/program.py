"""Running one program with a deadline that holds for its children too.

Git does its work in children (git-remote-https, ssh, index-pack) that outlive a parent which alone is killed. So every
program gets a process group of its own, and at the deadline, or when the caller is interrupted, the whole group goes:
SIGTERM first, SIGKILL soon after. Knows nothing of Git.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Deadline", "Outcome", "TimedOut", "run"]

GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""

_BETWEEN_CHECKS: Final = 0.25
"""Seconds: a disk takes some hundred megabytes in that time."""


class TimedOut(Exception):  # noqa: N818 -- an outcome that the caller words, not an error that a user sees
    """The deadline passed; nothing of the program is left running."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended."""

    status: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock, and how many seconds it was away at first."""

    moment: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.moment - time.monotonic())


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    deadline: Deadline,
    directory: Path | None = None,
    stdin: bytes = b"",
    terminal: int | None = None,
    check: Callable[[], None] | None = None,
) -> Outcome:
    """Run a program to its end.

    Args:
        arguments: The program and its arguments; never a shell's line.
        environment: The whole environment.
        deadline: When the program and all its children have to be gone.
        directory: The working directory.
        stdin: What the program reads.
        terminal: A descriptor of the terminal on which the program may ask its user, if it may.
        check: Called again and again while the program runs; what it raises ends the program.

    Raises:
        TimedOut: The deadline passed.
        OSError: The program could not be started.
    """
    process = subprocess.Popen(
        arguments,
        cwd=directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A session of its own has no terminal at all; a mere group can be put in the terminal's foreground.
        start_new_session=terminal is None,
        process_group=None if terminal is None else 0,
    )
    with process:
        try:
            with _foreground(process.pid, terminal):
                stdout, stderr = _communicate(process, stdin, deadline, check)
        except subprocess.TimeoutExpired:
            _end_group(process)
            raise TimedOut from None
        except BaseException:
            _end_group(process)
            raise
    if terminal is not None and process.returncode == -signal.SIGINT:
        # Control-C went to the group in the foreground, which was the program's.
        raise KeyboardInterrupt
    return Outcome(process.returncode, stdout, stderr.decode(errors="replace"))


def _communicate(
    process: subprocess.Popen[bytes], stdin: bytes, deadline: Deadline, check: Callable[[], None] | None
) -> tuple[bytes, bytes]:
    if check is None:
        return process.communicate(stdin, timeout=deadline.remaining)
    # What has not been written when the time is over, subprocess does not write at the next call.
    writer = threading.Thread(target=_write, args=(process.stdin, stdin), daemon=True)
    writer.start()
    process.stdin = None
    while deadline.remaining > _BETWEEN_CHECKS:
        try:
            return process.communicate(timeout=_BETWEEN_CHECKS)
        except subprocess.TimeoutExpired:  # nothing is lost by asking again
            check()
    return process.communicate(timeout=deadline.remaining)


def _write(pipe: IO[bytes] | None, content: bytes) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError), pipe:
            pipe.write(content)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program and everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        given_up = time.monotonic() + GRACE
        # The leader is left a zombie until the group is dead: nobody else can get its number meanwhile.
        while time.monotonic() < given_up:
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                break
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def _foreground(group: int, terminal: int | None) -> Iterator[None]:
    """Lend the terminal to a group, as a shell does, so that it may read from it."""
    if terminal is None:
        yield
        return
    with _without_sigttou():
        previous = os.tcgetpgrp(terminal)
        if previous != os.getpgrp():
            # We are in the background ourselves and have no terminal to lend.
            yield
            return
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, group)
            # It may have been stopped for reading before the terminal was its own.
            os.killpg(group, signal.SIGCONT)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.tcsetpgrp(terminal, previous)


@contextlib.contextmanager
def _without_sigttou() -> Iterator[None]:
    """Take the terminal back without being stopped: whoever is not in its foreground gets SIGTTOU for trying."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
