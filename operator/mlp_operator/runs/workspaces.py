"""The edge to Databricks workspaces: each is opened once for all runs that ask it by the same right, and polled once.

How one is opened, asked and polled is for doors.py to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from mlp_operator.runs.doors import Door

if TYPE_CHECKING:
    from mlp.backends.databricks.pacing import Kind
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.runs.doors import Opened
    from mlp_operator.runs.workspace_access import Entrance
    from mlp_operator.settings import Settings

__all__ = ["Workspaces"]

logger = logging.getLogger(__name__)


class Workspaces:
    """All workspaces that runs ask. Belongs to one event loop.

    Args:
        cluster: Where Secrets are, and ServiceAccounts.
        settings: Limits.
        metrics: Learns how requests end.
    """

    def __init__(self, cluster: Cluster, settings: Settings, metrics: Metrics) -> None:
        self._cluster = cluster
        self._settings = settings
        self._metrics = metrics
        self._doors: dict[Entrance, Door] = {}
        self._closing: set[asyncio.Future[None]] = set()

    def enter(self, entrance: Entrance) -> Door:
        """The door to a workspace, which stays open until everybody has left."""
        door = self._doors.get(entrance)
        if door is None:
            door = self._doors[entrance] = Door(self._cluster, self._settings, entrance, self._shut, self._count)
        door.users += 1
        return door

    def leave(self, door: Door) -> None:
        """Let a door go; the last one closes it."""
        door.users -= 1
        if door.users == 0 and self._doors.get(door.entrance) is door:
            del self._doors[door.entrance]
            door.close()

    async def close(self) -> None:
        """End everything, what is under way in threads among it."""
        for door in self._doors.values():
            door.close(at_once=True)
        self._doors.clear()
        # The threads end by themselves once nothing is open; a server that hangs is not waited for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.shutdown_timeout):
                await asyncio.gather(*self._closing, return_exceptions=True)

    def _count(self, kind: Kind, status: int) -> None:
        """Count a request: whatever thread has sent it."""
        result = str(status) if status else "unreachable"
        self._metrics.databricks_requests.labels(operation=str(kind), result=result).inc()

    def _shut(self, opened: Opened) -> None:
        done = asyncio.get_running_loop().run_in_executor(None, _shut, opened)
        self._closing.add(done)
        done.add_done_callback(self._closing.discard)


def _shut(opened: Opened) -> None:
    """Close a workspace: in a thread, because its poller may be in the middle of a question."""
    try:
        opened.poller.close()
        opened.workspace.close()
    except Exception:
        logger.exception("a workspace could not be closed")
