"""The edge to finalizers: ours is put on an object, or taken off, beside those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp_operator.machinery.cluster import ApiError

if TYPE_CHECKING:
    from mlp_operator.machinery.cache import Object, Store
    from mlp_operator.machinery.cluster import Cluster, Resource

__all__ = ["Finalizers"]


class Finalizers:
    """The finalizers of one kind of object.

    Args:
        cluster: Where the objects are.
        resource: Their kind.
        store: What is known of them.
    """

    def __init__(self, cluster: Cluster, resource: Resource, store: Store) -> None:
        self._cluster = cluster
        self._resource = resource
        self._store = store

    async def put(self, obj: Object, finalizer: str) -> None:
        """Put one on that very object."""
        await self._write(obj, [*_others(obj, finalizer), finalizer])

    async def take_off(self, obj: Object, finalizer: str) -> None:
        """Take one off that very object, which may be gone then."""
        await self._write(obj, _others(obj, finalizer))

    async def _write(self, obj: Object, wanted: list[str]) -> None:
        metadata = obj["metadata"]
        # Of the very list that was read: others change it at the same time.
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": wanted or None}}
        try:
            after = await self._cluster.patch(self._resource, metadata["namespace"], metadata["name"], patch)
        except ApiError as error:
            if not error.not_found:
                raise
            self._store.discard(obj)
            return
        if "deletionTimestamp" in after["metadata"] and not wanted:
            self._store.discard(after)  # that was all that kept it
        else:
            self._store.put(after)


def _others(obj: Object, finalizer: str) -> list[str]:
    return [each for each in obj["metadata"].get("finalizers") or () if each != finalizer]
