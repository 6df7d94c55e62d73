"""The terminal that a command needs when somebody sits in front of it.

A command runs in a process group of its own, so that it can be ended as a whole. A terminal lets only one group read
from it, so that group has to be lent the terminal, as a shell lends it to a job: else ``input()`` or a debugger in the
project would stop the run for good. Ctrl-Z stops the command, then ourselves, and both go on together.

Where our output goes into a pipe, the terminal may belong to what reads it (a pager): it is then lent only to a command
that was stopped for want of it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mlp.backends.local.waiting import wait_for_change

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Terminal"]


class Terminal:
    """The controlling terminal, where standard input is one.

    Args:
        descriptor: The file descriptor of the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def of_standard_input(cls) -> Terminal | None:
        """The terminal on standard input; None where that is a file, a pipe, or another session's terminal."""
        try:
            descriptor = sys.__stdin__.fileno() if sys.__stdin__ else -1
            os.tcgetpgrp(descriptor)
        except (OSError, ValueError):
            return None
        return cls(descriptor)

    def wait(self, process: int) -> int:
        """Wait until a command, the leader of its group, has ended, with the terminal lent to it where it needs it.

        Returns:
            Its exit status; -n for a command that signal n ended.
        """
        lend = os.isatty(1)
        try:
            while True:
                if lend and self._ours():
                    self._give(process)
                # It may have been stopped for want of the terminal, even before it was lent.
                os.killpg(process, signal.SIGCONT)
                status = wait_for_change(process, stops=True)
                self._reclaim(process)
                if not os.WIFSTOPPED(status):
                    return os.waitstatus_to_exitcode(status)
                if not lend and os.WSTOPSIG(status) in {signal.SIGTTIN, signal.SIGTTOU} and self._ours():
                    lend = True
                    continue
                # The whole job stops, as it would had the command been in our group: ourselves and what we pipe into.
                os.killpg(os.getpgrp(), signal.SIGTSTP)
        finally:
            self._reclaim(process)

    def _ours(self) -> bool:
        return self._holder() == os.getpgrp()

    def _reclaim(self, group: int) -> None:
        if self._holder() == group:
            self._give(os.getpgrp())

    def _holder(self) -> int | None:
        """The group that may read from the terminal; None once its window is closed or its connection broken."""
        try:
            return os.tcgetpgrp(self._descriptor)
        except OSError:
            return None

    def _give(self, group: int) -> None:
        # It may go away at any moment: the command gets a SIGHUP then, and we a moment to record its end.
        with _unstopped(), suppress(OSError):
            os.tcsetpgrp(self._descriptor, group)


@contextmanager
def _unstopped() -> Iterator[None]:
    """A group in the background that touches the terminal is stopped by SIGTTOU, unless it blocks that signal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
