"""How look-ups share their work: one question for many, answers that are kept, and a fair part of the threads for each.

Nothing here knows of Git or runs. All of it belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable

__all__ = ["Batches", "Kept", "Shares", "Work"]

T = TypeVar("T")


def _shared(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task for many. When all of them are gone, nobody is left to be told how it failed."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def _cancelled(tasks: list[asyncio.Task[T]]) -> list[asyncio.Task[T]]:
    for task in tasks:
        task.cancel()
    return tasks


class Batches(Generic[T]):
    """Asks a question for many at once: whoever comes while it is being asked waits for the next time."""

    def __init__(self) -> None:
        self._asking: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}

    async def ask(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question that is asked after this call."""
        if key in self._next:
            return await asyncio.shield(self._next[key])
        task = _shared(self._after(self._asking.get(key), key, question))
        self._next[key] = task
        return await asyncio.shield(task)

    def cancel(self) -> list[asyncio.Task[T]]:
        """End what is being asked, and say what has to be waited for."""
        return _cancelled([*self._asking.values(), *self._next.values()])

    async def _after(self, before: asyncio.Task[T] | None, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        if before is not None:
            await asyncio.wait([before])
        task = self._asking[key] = self._next.pop(key)
        try:
            return await question()
        finally:
            if self._asking.get(key) is task:
                del self._asking[key]


class Kept(Generic[T]):
    """Keeps answers that never change, the most recently used ones; asks once for many.

    Args:
        most: How much all kept answers may weigh together.
        weigh: What one answer weighs.
    """

    def __init__(self, most: int, *, weigh: Callable[[T], int]) -> None:
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._answers: OrderedDict[Hashable, T] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """The number of kept answers."""
        return len(self._answers)

    async def get(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        """The kept answer, or that of the question. A failure is no answer: the next one asks again."""
        if key in self._answers:
            self._answers.move_to_end(key)
            return self._answers[key]
        if key not in self._asking:
            self._asking[key] = _shared(self._ask(key, question))
        return await asyncio.shield(self._asking[key])

    def cancel(self) -> list[asyncio.Task[T]]:
        """End what is being asked, and say what has to be waited for."""
        return _cancelled([*self._asking.values()])

    async def _ask(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await question()
        finally:
            del self._asking[key]
        self._answers[key] = answer
        self._weight += self._weigh(answer)
        while self._weight > self._most:
            _, oldest = self._answers.popitem(last=False)
            self._weight -= self._weigh(oldest)
        return answer


class Shares:
    """Lets so many at a time work for one name; the others of that name wait, and nobody else.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._gates: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}

    @contextlib.asynccontextmanager
    async def of(self, name: Hashable) -> AsyncIterator[None]:
        """Wait for a place, and keep it for the time of the block."""
        gate, users = self._gates.get(name) or (asyncio.Semaphore(self._most), 0)
        self._gates[name] = gate, users + 1
        try:
            async with gate:
                yield
        finally:
            gate, users = self._gates.pop(name)
            if users > 1:
                self._gates[name] = gate, users - 1


class Work:
    """Threads for what blocks. No server gets more than half of them, so one that hangs leaves some for the others.

    Args:
        threads: How many.
        name: What they are called.
    """

    def __init__(self, threads: int, *, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._shares = Shares(max(1, threads // 2))

    async def do(self, server: Hashable, question: Callable[..., T], *args: object) -> T:
        """Call something in a thread, once the server has a place left."""
        async with self._shares.of(server):
            return await asyncio.get_running_loop().run_in_executor(self._threads, question, *args)

    def close(self) -> None:
        """Take nothing new. What is under way ends with its own deadline at the latest."""
        self._threads.shutdown(wait=False, cancel_futures=True)
