"""Bringing all files of a listing: several streams at once, each taken up again where it broke, everything checked.

The calling thread hands out work, reports progress and looks at the cancelled event; workers hold one block of bytes
each, whatever the size of the files. Knows nothing of schemes, and nothing of files: what a task does is for
mlp.data.files to say.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from mlp.data.disk import disk_error
from mlp.data.files import Arrivals, Task, start
from mlp.errors import RunCancelled

if TYPE_CHECKING:
    from pathlib import Path

    from mlp.data.files import Progress
    from mlp.data.origin import Listing, Origin

__all__ = ["transfer"]

_POLL: Final = 0.1
_FAREWELL: Final = 1.0


def transfer(
    origin: Origin,
    listing: Listing,
    target: Path,
    *,
    threads: int,
    cancelled: threading.Event | None,
    progress: Progress | None,
) -> None:
    """Bring everything that a listing has.

    Args:
        origin: Where things come from.
        listing: What there is; its names have been looked at.
        target: The file or directory to make.
        threads: How many streams there may be at once.
        cancelled: Ends the transfer when it is set.
        progress: Called in this thread.

    Raises:
        DataError: Something could not be brought.
        RunCancelled: The event was set.
    """
    arrivals = Arrivals(origin, listing, target)
    items = iter(listing.items)
    waiting: deque[Task] = deque()
    running = 0
    crew = _Crew(threads, arrivals.stopped)
    try:
        _make_directories(listing, target)
        while True:
            while running < 2 * threads:
                if not waiting:
                    if (item := next(items, None)) is None:
                        break
                    waiting.append(partial(start, arrivals, item, 1))
                crew.hand_out(waiting.popleft())
                running += 1
            if not running:
                break
            if cancelled is not None and cancelled.is_set():
                raise RunCancelled(f"The download of {origin.shown} was cancelled.")
            arrivals.report(progress)
            if (outcome := crew.wait()) is not None:
                running -= 1
                # A file's further pieces go before further files: few are open at a time.
                waiting.extendleft(reversed(outcome))
        arrivals.report(progress)
    except OSError as error:
        raise disk_error(error, origin.shown) from None
    finally:
        arrivals.stop()
        crew.dismiss()


def _make_directories(listing: Listing, target: Path) -> None:
    if listing.directory:
        above = {item.path.rpartition("/")[0] for item in listing.items}
        for path in sorted({"", *above, *listing.directories}):
            (target / path).mkdir(parents=True, exist_ok=True)


class _Crew:
    """Threads that do tasks, no more than there are tasks."""

    def __init__(self, size: int, stopped: threading.Event) -> None:
        self._size = size
        self._stopped = stopped
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[list[Task] | BaseException] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def hand_out(self, task: Task) -> None:
        if len(self._threads) < self._size:
            # Daemons: one that waits for a silent server must not keep a cancelled program from ending.
            thread = threading.Thread(target=self._work, name=f"mlp-data-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._tasks.put(task)

    def wait(self) -> list[Task] | None:
        """What one task leaves to be done; None if none has ended meanwhile. Raises what the task has raised."""
        try:
            outcome = self._outcomes.get(timeout=_POLL)
        except queue.Empty:
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def dismiss(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(_FAREWELL)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._stopped.is_set():
                continue
            outcome: list[Task] | BaseException
            try:
                outcome = task()
            except BaseException as error:  # noqa: BLE001 -- raised again in the thread that waits for it
                outcome = error
            self._outcomes.put(outcome)
