"""What the cluster looked like when it was last heard of: one store a kind, fed by watches, own writes and lists.

Whoever brings an object, the newer resourceVersion wins, so the three feeds may arrive in any order. A periodic list
replaces what it covers: kopf sends no DELETED for an object that vanished while its watch was down, and a cache that
only listens would keep such ghosts for ever. (Comparing resourceVersions as numbers is allowed since Kubernetes 1.35,
KEP-5504, and has held for etcd-backed servers always.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Key", "Object", "Store", "key_of", "version_of"]

Key = tuple[str, str]
"""A namespace and a name."""

Object = dict[str, Any]
"""A Kubernetes object as plain JSON."""


def key_of(obj: Object) -> Key:
    """The namespace and the name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def version_of(obj: Object) -> int:
    """The resourceVersion of an object, as a number."""
    return int(obj["metadata"].get("resourceVersion") or 0)


class Store:
    """The objects of one kind, found by their own key or by their owner's.

    Args:
        owner_of: The key of the ProjectRun that an object belongs to; for a ProjectRun, its own.
        trim: Returns the part of an object that is worth its memory; thousands of them are held.
    """

    def __init__(self, owner_of: Callable[[Object], Key], trim: Callable[[Object], Object] = lambda obj: obj) -> None:
        self.owner_of = owner_of
        self._trim = trim
        self._objects: dict[Key, Object] = {}
        self._owned: dict[Key, set[Key]] = {}
        self._gone: dict[Key, int] = {}

    def __len__(self) -> int:
        """The number of objects."""
        return len(self._objects)

    def __iter__(self) -> Iterator[Object]:
        """The objects, in no particular order."""
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> Object | None:
        """The object of that key, or None."""
        return self._objects.get(key)

    def owned_by(self, owner: Key) -> tuple[Object, ...]:
        """The objects that belong to a ProjectRun, oldest first."""
        found = [self._objects[key] for key in self._owned.get(owner, ())]
        return tuple(sorted(found, key=lambda obj: (obj["metadata"].get("creationTimestamp") or "", key_of(obj))))

    def put(self, obj: Object) -> bool:
        """Take an object in, unless a newer one is here already.

        Returns:
            Whether anything changed.
        """
        key, version = key_of(obj), version_of(obj)
        known = self._objects.get(key)
        if known is not None and version_of(known) >= version:
            return False
        if self._gone.get(key, -1) >= version:
            return False  # a late echo of an object that is known to be deleted
        # managedFields are a third of a small object and nobody here reads them.
        obj["metadata"].pop("managedFields", None)
        self._forget(key)  # its label may name another owner now
        self._objects[key] = self._trim(obj)
        self._gone.pop(key, None)
        self._owned.setdefault(self.owner_of(obj), set()).add(key)
        return True

    def discard(self, obj: Object) -> bool:
        """Forget a deleted object, unless a newer one of the same name is here already.

        Returns:
            Whether anything changed.
        """
        key, version = key_of(obj), version_of(obj)
        known = self._objects.get(key)
        if known is not None and version_of(known) > version:
            return False
        self._gone[key] = max(version, self._gone.get(key, 0))
        return self._forget(key)

    def replace(self, items: Iterable[Object], version: int) -> set[Key]:
        """Make the store equal to a list, but for what is newer than the list.

        Args:
            items: All objects of this kind.
            version: The list's own resourceVersion.

        Returns:
            The keys of the owners whose objects changed.
        """
        changed: set[Key] = set()
        listed: set[Key] = set()
        for obj in items:
            listed.add(key_of(obj))
            if self.put(obj):
                changed.add(self.owner_of(obj))
        for key in [key for key in self._objects if key not in listed]:
            if version_of(self._objects[key]) <= version:
                changed.add(self.owner_of(self._objects[key]))
                self._forget(key)
        # Deletions older than a list can have no echo after it.
        self._gone = {key: gone for key, gone in self._gone.items() if gone > version}
        return changed

    def _forget(self, key: Key) -> bool:
        obj = self._objects.pop(key, None)
        if obj is None:
            return False
        owner = self.owner_of(obj)
        siblings = self._owned[owner]
        siblings.discard(key)
        if not siblings:
            del self._owned[owner]
        return True
