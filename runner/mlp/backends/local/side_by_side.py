"""Tasks that are done at the same time, where the failure of one makes the others pointless."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlp.errors import RunCancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

__all__ = ["side_by_side"]


def side_by_side(tasks: Sequence[Callable[[], None]], stop: threading.Event) -> None:
    """Do all of the tasks, and return when none of them is under way any more.

    Args:
        tasks: Each ends with RunCancelled soon after the event is set.
        stop: Set by whoever wants the tasks to end, and by the first that fails.

    Raises:
        Exception: What a task raised; RunCancelled only where none failed by itself.
    """
    if len(tasks) == 1:  # in the caller's thread, which Ctrl-C interrupts at once
        tasks[0]()
        return
    if not tasks:
        return

    def attempt(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(len(tasks), thread_name_prefix="mlp-prepare") as pool:
        futures = [pool.submit(attempt, task) for task in tasks]
        try:
            failures = [error for future in futures if (error := future.exception()) is not None]
        except BaseException:  # Ctrl-C, or a signal handler that raises
            stop.set()
            raise
    if failures:
        raise next((error for error in failures if not isinstance(error, RunCancelled)), failures[0])
