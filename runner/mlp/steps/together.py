"""Tasks that are done at the same time, where the failure of one makes the others pointless."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from mlp.errors import RunCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["together"]

Result = TypeVar("Result")

_FAREWELL: Final = 15.0
"""Seconds that tasks have to end after a signal; a pod has thirty by default, and a report is still to be written."""


def together(tasks: Sequence[Callable[[], Result]], stop: threading.Event, *, at_once: int) -> list[Result]:
    """Do all of the tasks.

    Args:
        tasks: Each ends with RunCancelled soon after the event is set.
        stop: Set by whoever wants the tasks to end, and by the first that fails.
        at_once: How many may be under way.

    Returns:
        What each gave, in their order.

    Raises:
        BaseException: What the first task raised that failed; RunCancelled only where none failed by itself. Or what
            came over the caller meanwhile.
    """
    waiting = deque(range(len(tasks)))
    results: dict[int, Result] = {}
    failures: list[BaseException] = []

    def work(ended: threading.Event) -> None:
        try:
            while waiting and not stop.is_set():
                try:
                    number = waiting.popleft()
                except IndexError:  # another was faster
                    break
                results[number] = tasks[number]()
        except BaseException as error:  # noqa: BLE001 -- raised below, to the caller
            failures.append(error)
            stop.set()
        finally:
            ended.set()

    crew = [threading.Event() for _ in range(min(at_once, len(tasks)))]
    try:
        for ended in crew:
            # A daemon: one that waits for a silent server must not keep a pod from ending.
            threading.Thread(target=work, args=(ended,), name="mlp-step", daemon=True).start()
        for ended in crew:
            ended.wait()
    except BaseException:  # a signal's
        stop.set()
        until = time.monotonic() + _FAREWELL
        for ended in crew:
            ended.wait(max(0.0, until - time.monotonic()))
        raise
    if failures:
        raise next((error for error in failures if not isinstance(error, RunCancelled)), failures[0])
    if len(results) < len(tasks):
        raise RunCancelled("The steps were cancelled.")
    return [results[number] for number in range(len(tasks))]
