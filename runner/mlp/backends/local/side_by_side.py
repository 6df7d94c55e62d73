"""Tasks that are done at the same time, where the failure of one makes the others pointless."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mlp.errors import RunCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["side_by_side"]


def side_by_side(tasks: Sequence[Callable[[], None]], stop: threading.Event) -> None:
    """Do all of the tasks, and return when none of them is under way any more.

    Args:
        tasks: Each ends with RunCancelled soon after the event is set.
        stop: Set by whoever wants the tasks to end, and by the first that fails.

    Raises:
        Exception: What the first task raised that failed; RunCancelled only where none failed by itself.
    """
    if len(tasks) == 1:  # in the caller's thread, which Ctrl-C interrupts at once
        tasks[0]()
        return
    if not tasks:
        return

    failures: list[BaseException] = []

    def attempt(task: Callable[[], None], ended: threading.Event) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 -- raised below, to the caller
            failures.append(error)
            stop.set()
        finally:
            ended.set()

    # No ThreadPoolExecutor: it takes no tasks once the program has come to its end, and waits for its runs there. And
    # no Thread.join(): up to Python 3.12, one that Ctrl-C interrupts takes the thread for ended.
    started: list[threading.Event] = []
    try:
        for task in tasks:
            ended = threading.Event()
            threading.Thread(target=attempt, args=(task, ended), name="mlp-prepare").start()
            started.append(ended)
        for ended in started:
            ended.wait()
    except BaseException:  # Ctrl-C, or a signal handler that raises
        stop.set()
        for ended in started:
            ended.wait()
        raise
    if failures:
        raise next((error for error in failures if not isinstance(error, RunCancelled)), failures[0])
