"""`python -m tests.cluster.keeper LAYOUT owned|free`: the process that has a cluster started, and takes it away again.

It lives outside the cluster's namespaces and in a session of its own. It says "ready" on standard output, or why not.
It ends on SIGTERM, when a component has ended, and, where it is `owned`, when its standard input ends: then its owner
is gone, by whatever death. Ending, it removes everything: processes, cgroups, files. If it is itself killed, the kernel
ends the processes, and the next start or stop under the same directory removes the rest.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from typing import Final

from tests.cluster import cgroups
from tests.cluster.holding import MARK, hold, remove
from tests.cluster.layout import Layout
from tests.cluster.lifeline import end_with_owner
from tests.cluster.starting import children, start

KILL_PATIENCE: Final = 20.0


class Ended(BaseException):
    """This process has been told to end. Not an Exception: nothing on the way may take it for an error."""


def kill_children() -> None:
    """Kill all that this process has started, and wait until it is gone.

    The first process of a pid namespace is a grandchild; the kernel lets it go after all others of the namespace.
    """
    descriptors = []
    for child in children(os.getpid()):
        for pid in (*children(child), child):
            with contextlib.suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(pid))
                os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + KILL_PATIENCE
    for descriptor in descriptors:
        select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        os.close(descriptor)


def keep(layout: Layout) -> None:
    """Start a cluster, say so, wait for the end, remove everything."""
    with hold(layout.base):
        for left in [path for path in layout.base.iterdir() if path.name != MARK]:  # by a keeper that was killed
            cgroups.remove(layout.name)
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        try:
            running, wait = start(layout)
            running.write()
            say("ready")
            say(wait())
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            kill_children()
            remove(layout.base, layout.name)


def say(text: str) -> None:
    """Tell whoever started this process; they may have stopped listening."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def main() -> int:
    """Keep a cluster until the end."""
    layout, manner = Layout.from_json(sys.argv[1]), sys.argv[2]

    def end(_number: int, _frame: object) -> None:
        raise Ended

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    if manner == "owned":
        end_with_owner()
    try:
        keep(layout)
    except Ended:
        return 0
    except (OSError, RuntimeError) as error:
        say(str(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
