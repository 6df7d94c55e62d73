"""The only module that knows kopf: what happens in the cluster becomes an object in a store and a key on the queue.

kopf keeps watch streams alive, which is its strongest part. Nothing else of it is used: only ``on.event`` handlers,
which write nothing; storages that store nothing, so that no annotation and no finalizer of kopf ever appears on a
user's object; no peering, which would let another operator of the cluster pause this one; no scanning of the
cluster's namespaces and kinds, which would need rights that we do without.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import kopf

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Mapping, Sequence

    from mlp_operator.machinery.cache import Store
    from mlp_operator.machinery.cluster import Resource
    from mlp_operator.machinery.health import Freshness
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue

__all__ = ["Watched", "watch"]


@dataclass(frozen=True, slots=True)
class Watched:
    """One kind to watch: where it goes, and which objects the API server shall send."""

    resource: Resource
    store: Store
    selector: str = ""


async def watch(
    kinds: Sequence[Watched],
    queue: WorkQueue,
    *,
    namespaces: Collection[str],
    stop: asyncio.Event,
    started: asyncio.Event,
    freshness: Freshness,
    metrics: Metrics,
) -> None:
    """Feed stores and queue until told to stop.

    Args:
        kinds: What to watch.
        queue: Gets the key of the owner of each object that changed.
        namespaces: Where to watch; empty means everywhere.
        stop: Ends the watches.
        started: Is set once kopf runs. From then on signals are the caller's: kopf, which takes them when it starts,
            would end the watches and leave the rest running.
        freshness: Learns which resourceVersion each watch has reached.
        metrics: Learns when each watch last delivered.
    """
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)(kopf.login_via_client)
    settings = _quiet_settings()
    for kind in kinds:
        _register(registry, kind, queue, freshness, metrics)
        if kind.selector:
            resource = kind.resource
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = kind.selector
    # One line for each event of each object would be all of the log.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    await kopf.operator(
        registry=registry,
        settings=settings,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        standalone=True,
        stop_flag=stop,
        ready_flag=started,
    )


def _register(
    registry: kopf.OperatorRegistry, kind: Watched, queue: WorkQueue, freshness: Freshness, metrics: Metrics
) -> None:
    name = kind.resource.plural
    last_event = metrics.last_event.labels(kind=name)

    async def changed(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 -- kopf passes what it likes
        # kopf hands out the object it received and keeps no hold of it: it is ours.
        obj: dict[str, Any] = dict(event["object"])
        obj["metadata"] = dict(obj["metadata"])
        last_event.set(time.time())
        freshness.delivered(name, obj)
        news = kind.store.discard(obj) if event["type"] == "DELETED" else kind.store.put(obj)
        if news:
            queue.add(kind.store.owner_of(obj))

    kopf.on.event(kind.resource.group, kind.resource.version, name, registry=registry, id=name)(changed)


def _quiet_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.watching.reconnect_backoff = 1.0
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30.0
    settings.process.ultimate_exiting_timeout = None
    return settings


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-seen copy: decisions compare with the cluster, not with the last event."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers: event handlers have none."""

    def fetch(self, *, key: str, body: kopf.Body) -> Any:  # noqa: ANN401
        return None

    def store(self, *, key: str, record: Mapping[str, Any], body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def purge(self, *, key: str, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        pass

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
