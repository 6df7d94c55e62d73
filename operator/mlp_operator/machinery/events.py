"""Kubernetes Events about a ProjectRun: one for each of its transitions.

Events are for people. They are posted beside the work, in order, and never hold it up: when the API server is slow the
oldest wait, when it refuses they are dropped with a line in the log. (kopf's own event functions work only inside of
its handlers.)
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from mlp_operator.machinery.cluster import EVENTS, ApiError, ClusterUnreachable

if TYPE_CHECKING:
    from mlp_operator.machinery.cache import Object
    from mlp_operator.machinery.cluster import Cluster

__all__ = ["Event", "EventRecorder"]

_LONGEST_MESSAGE: Final = 1024
_MOST_WAITING: Final = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run, for ``kubectl describe``."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


class EventRecorder:
    """Posts events in the background."""

    def __init__(self, cluster: Cluster, *, component: str) -> None:
        self._cluster = cluster
        self._component = component
        self._waiting: asyncio.Queue[Object] = asyncio.Queue(_MOST_WAITING)
        self._count = 0

    def record(self, regarding: Object, event: Event) -> None:
        """Post an event about an object, soon."""
        try:
            self._waiting.put_nowait(self._manifest(regarding, event))
        except asyncio.QueueFull:
            logger.warning("dropped the event %s: %d others are waiting", event.reason, _MOST_WAITING)

    async def run(self) -> None:
        """Post what is recorded, until cancelled."""
        while True:
            body = await self._waiting.get()
            try:
                await self._cluster.create(EVENTS, body["metadata"]["namespace"], body)
            except (ApiError, ClusterUnreachable) as error:
                # A namespace that is being deleted takes no events; nobody is left to read them either.
                logger.info("event %s about %s not posted: %s", body["reason"], body["involvedObject"]["name"], error)
            finally:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Wait until everything recorded so far is posted."""
        await self._waiting.join()

    def _manifest(self, regarding: Object, event: Event) -> Object:
        metadata = regarding["metadata"]
        now = datetime.now(UTC)
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._count += 1
        message = event.message
        if len(message.encode()) > _LONGEST_MESSAGE:  # core/v1's limit
            message = message.encode()[: _LONGEST_MESSAGE - 3].decode(errors="ignore") + "…"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # client-go's form: readable, and unique for this process and this moment.
            "metadata": {
                "name": f"{metadata['name']}.{int(now.timestamp() * 1e6):x}{self._count:x}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": event.type,
            "reason": event.reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
