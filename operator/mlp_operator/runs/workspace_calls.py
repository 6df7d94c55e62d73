"""The edge to workspaces' answers: what blocks is done in threads, a fair part of which each namespace and host gets.

Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from mlp.errors import MlpError, WorkspaceDenied
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable
from mlp_operator.runs.sharing import Shares

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mlp.backends.databricks.workspace import Workspace
    from mlp_operator.runs.doors import Door
    from mlp_operator.runs.submissions import Submission

__all__ = ["Places", "WorkspaceCalls", "words"]

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Places:
    """Who may use how many threads: one host half of them, one namespace three quarters, with however many hosts.

    Args:
        threads: How many there are.
    """

    def __init__(self, threads: int) -> None:
        half = max(1, threads // 2)
        self._hosts = Shares(half)
        self._own_hosts = Shares(half)
        self._namespaces = Shares(max(1, threads * 3 // 4))

    @contextlib.asynccontextmanager
    async def of(self, namespace: str, host: str) -> AsyncIterator[None]:
        """Wait for a place, and keep it for the time of the block."""
        # Whoever waits has places already: of what is the namespace's own, so that nobody else waits for it; and of
        # those no more than for one host, so that the namespace's other hosts have some left.
        async with self._own_hosts.of((namespace, host)), self._namespaces.of(namespace), self._hosts.of(host):
            yield


class WorkspaceCalls:
    """Asks workspaces. Belongs to one event loop.

    Args:
        threads: How many requests at the same time.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="databricks")
        self._places = Places(threads)
        self._asking: set[asyncio.Task[Any]] = set()

    async def ask(self, door: Door, question: Callable[[Workspace], T], *, kept: bool = False) -> T:
        """Ask a workspace, with the credentials of now.

        Args:
            door: Which workspace.
            question: What.
            kept: Credentials that were read earlier will do where there are no others.
        """
        try:
            return await self._ask(door, question, anew=False, kept=kept)
        except WorkspaceDenied:
            # They may have been replaced a moment ago.
            return await self._ask(door, question, anew=True, kept=kept)

    def cancel(self) -> list[asyncio.Task[Any]]:
        """End what is being asked, and say what has to be waited for."""
        for task in self._asking:
            task.cancel()
        return [*self._asking]

    def close(self) -> None:
        """Take nothing new. What is under way ends when its workspace is closed."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, door: Door, question: Callable[[Workspace], T], *, anew: bool, kept: bool) -> T:
        asking = asyncio.create_task(door.ask(question, self._threads, self._places, anew=anew, kept=kept))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        # A thread cannot be ended: whoever does not wait any more leaves it the place that it has.
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(asking)


def words(error: Exception, submission: Submission, what: str) -> str:
    """What a run's status says of a failure.

    Args:
        error: The failure.
        submission: What it happened to.
        what: What could not be done.
    """
    match error:
        case MlpError():
            return str(error)
        case ApiError() | ClusterUnreachable():
            return f"The API server was asked for what the run needs: {error}"
    logger.error("%s/%s: it could not be %s", *submission.key, what, exc_info=error)
    return f"The run could not be {what} ({type(error).__name__}); the operator's log has more."
