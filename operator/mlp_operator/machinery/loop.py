"""The loop: workers that take keys and hand them to a controller, and the list that replaces the cache now and then.

A controller looks at one key: it observes, decides and acts. Whatever goes wrong there is logged with the key, counted,
and tried again later; nothing that one key does can stop another.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Protocol

from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlp_operator.machinery.cache import Key
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.health import Freshness, Health
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue
    from mlp_operator.machinery.watching import Watched

__all__ = ["Controller", "resync", "resync_forever", "work"]

logger = logging.getLogger(__name__)


class Controller(Protocol):
    """What a kind of resource means."""

    async def reconcile(self, key: Key) -> float | None:
        """Bring one object a step closer to what it asks for.

        Returns:
            The seconds after which to look again even if nothing happens, or None.
        """
        ...


async def work(queue: WorkQueue, controller: Controller, metrics: Metrics) -> None:
    """Take keys and reconcile them, until cancelled. Run as many of these side by side as shall work at once."""
    while True:
        key = await queue.get()
        started = time.perf_counter()
        ok = False
        try:
            again_after = await controller.reconcile(key)
            ok = True
            if again_after is not None:
                queue.add_after(key, again_after)
        except (ApiError, ClusterUnreachable) as error:
            # Part of life: a conflict, a slow or restarting API server. A line is enough.
            logger.warning("%s/%s: %s; again in %.3g s", *key, error, queue.retry(key))
        except Exception:
            logger.exception("%s/%s: unexpected; again in %.3g s", *key, queue.retry(key))
        finally:
            queue.done(key, ok=ok)
            metrics.reconciles.labels(result="success" if ok else "error").inc()
            metrics.reconcile_duration.observe(time.perf_counter() - started)
            metrics.pending.set(len(queue))


async def resync(
    kinds: Sequence[Watched],
    queue: WorkQueue,
    cluster: Cluster,
    namespaces: Sequence[str],
    freshness: Freshness | None = None,
) -> None:
    """List every kind and make the stores equal to the lists.

    Args:
        kinds: What to list.
        queue: Gets the keys whose objects changed.
        cluster: Where.
        namespaces: Which; empty means all.
        freshness: Told what the watches have to deliver. None before they run: what is deleted until they start is
            never delivered.
    """
    for kind in kinds:
        page = await cluster.list(kind.resource, namespaces, selector=kind.selector)
        if freshness is not None:
            freshness.listed(kind.resource.plural, page.items)
        for owner in kind.store.replace(page.items, page.version):
            queue.add(owner)


async def resync_forever(
    kinds: Sequence[Watched],
    queue: WorkQueue,
    cluster: Cluster,
    namespaces: Sequence[str],
    freshness: Freshness,
    health: Health,
    *,
    period: float,
) -> None:
    """List again every ``period`` seconds, give or take a tenth, until cancelled."""
    while True:
        await asyncio.sleep(period * random.uniform(0.9, 1.1))  # noqa: S311 -- only spreads the load
        try:
            await resync(kinds, queue, cluster, namespaces, freshness)
        except (ApiError, ClusterUnreachable) as error:
            logger.warning("the periodic list failed: %s", error)
        else:
            health.resynced()
