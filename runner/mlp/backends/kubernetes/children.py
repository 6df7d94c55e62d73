"""Runs that a driver has started end with it: what ends the driver early asks the cluster to end them too.

A driver that ends by itself leaves its runs to go on, as any program does that does not wait for them. A deleted driver
takes them along by their owner references, without anything here.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from mlp.backends.local.submitted import also_when_cancelling, cancel_with_us
from mlp.errors import MlpError

if TYPE_CHECKING:
    from mlp.backends.kubernetes.submitted import KubernetesRun

__all__ = ["end_with_us"]

_AT_ONCE: Final = 8
"""Requests at the same time: the driver has its grace period, and may have hundreds of runs."""

_started: list[KubernetesRun] = []
# In a forked child: the runs are its parent's, and a signal to the child is none of their business.
os.register_at_fork(after_in_child=_started.clear)


def end_with_us(run: KubernetesRun) -> None:
    """From now on, SIGTERM, SIGHUP and an uncaught Ctrl-C of this process ask for the end of this run."""
    _started.append(run)
    cancel_with_us()
    also_when_cancelling(_ask_all)


def _ask_all() -> None:
    """Ask for the end of all runs that have not ended; that it comes is the operator's business."""
    waiting = deque(_started)
    threads = [threading.Thread(target=_ask, args=(waiting,)) for _ in range(min(_AT_ONCE, len(waiting)))]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError:  # the interpreter ends and starts no more threads
        _ask(waiting)
        return
    for thread in threads:
        thread.join()


def _ask(waiting: deque[KubernetesRun]) -> None:
    while True:
        try:
            run = waiting.popleft()
        except IndexError:
            return
        # What is gone needs no end, and nobody is left to be told of a cluster that is silent.
        with contextlib.suppress(MlpError):
            run.shut_down()
