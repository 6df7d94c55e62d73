"""How processes here end together: a child dies with its parent, a program ends when its owner's pipe closes.

Both work when the other side is killed with SIGKILL, where no handler runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)  # before any fork: a forked child must not load libraries


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends. Meant for `preexec_fn`."""
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def end_with_owner() -> None:
    """Send this process SIGTERM when its standard input ends: its owner, who holds the other end, is gone."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="owner", daemon=True).start()


def enter(pid: int, namespace: str) -> None:
    """Move this thread into a namespace ("net", "pid") of another process; a pid namespace takes in children only."""
    descriptor = os.open(f"/proc/{pid}/ns/{namespace}", os.O_RDONLY)
    try:
        if _LIBC.setns(descriptor, 0):
            raise OSError(ctypes.get_errno(), f"setns to the {namespace} namespace of {pid}")
    finally:
        os.close(descriptor)
