"""Waiting for a child process in a way that lets signal handlers run.

Python runs a handler between two steps of the program, and a signal that comes just before ``waitpid`` blocks is one
whose handler has to wait for the child: Ctrl-C would do nothing, now and then. So the wait is cut into slices; the end
of the child itself is seen at once, by a descriptor of it.
"""

from __future__ import annotations

import os
import select
from typing import Final

__all__ = ["wait_for_change"]

_SLICE: Final = 250
"""Milliseconds: how long a handler may have to wait at worst, and a child that was stopped."""


def wait_for_change(process: int, *, stops: bool = False) -> int:
    """Wait until a child has ended, or was stopped.

    Args:
        process: The child.
        stops: Come back when it is stopped, too.

    Returns:
        Its wait status, for os.waitstatus_to_exitcode and os.WIFSTOPPED.
    """
    options = os.WUNTRACED if stops else 0
    if not hasattr(os, "pidfd_open"):  # not Linux
        return os.waitpid(process, options)[1]
    descriptor = os.pidfd_open(process)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        while True:
            found, status = os.waitpid(process, options | os.WNOHANG)
            if found:
                return status
            ended.poll(_SLICE)
    finally:
        os.close(descriptor)
