"""The work queue: keys, not events.

A key waits at most once and is worked on by at most one worker, however many events named it; what happens to an
object while it is worked on brings its key back afterwards. Failing keys come back later each time, on their own
clocks, so that one broken object never delays another. (The contract of client-go's workqueue.)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlp_operator.machinery.cache import Key

__all__ = ["WorkQueue"]

_FIRST_RETRY = 0.25
_LAST_RETRY = 300.0


class WorkQueue:
    """Keys that need a look, each at most once. Belongs to one event loop."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._closing = False
        self._idle = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait for a worker, those with a timer not counted."""
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Ask for a look at the key as soon as a worker is free."""
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._busy:
            self._ready.put_nowait(key)

    def add_after(self, key: Key, delay: float) -> None:
        """Ask for a look in ``delay`` seconds. Of several such wishes for one key the earliest stays."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + delay:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(max(0.0, delay), self._due, key)

    def retry(self, key: Key) -> float:
        """Ask for a look after a failure: 0.25 s at first, twice as long each time, at most 5 minutes.

        Returns:
            The seconds until then.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay: float = min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(failures - 1, 20))
        self.add_after(key, delay)
        return delay

    async def get(self) -> Key:
        """Wait for the next key and mark it as being worked on. Once the queue is closing, wait for ever."""
        key = await self._ready.get()
        if self._closing:
            await asyncio.Event().wait()
        self._waiting.discard(key)
        self._busy.add(key)
        return key

    def done(self, key: Key, *, ok: bool) -> None:
        """Say that a worker has finished with the key; ``ok`` forgets its failures."""
        if ok:
            self._failures.pop(key, None)
        self._busy.discard(key)
        if not self._busy and self._closing:
            self._idle.set()
        if key in self._waiting:
            self._ready.put_nowait(key)

    async def idle(self) -> None:
        """Hand out no more keys, and wait until those in hand are done."""
        self._closing = True
        if self._busy:
            await self._idle.wait()

    def close(self) -> None:
        """Drop every timer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)
