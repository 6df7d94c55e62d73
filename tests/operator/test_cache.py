"""The stores: whoever brings an object, in whatever order, the newest stays; and nothing stays that is gone."""

from __future__ import annotations

import itertools

import pytest

from mlp_operator.machinery.cache import Store, key_of, version_of
from mlp_operator.runs.caching import owner_by_label

OWNER = ("team-a", "wine")


def obj(name="wine", version=1, *, owner=None, created="2026-01-01T00:00:00Z", **more):
    labels = {} if owner is None else {"labels": {"mlp.dev/projectrun": owner}}
    metadata = {"namespace": "team-a", "name": name, "resourceVersion": str(version), "creationTimestamp": created}
    return {"metadata": metadata | labels, **more}


@pytest.fixture
def store():
    return Store(owner_by_label)


def test_the_newer_object_stays():
    store = Store(key_of)
    assert store.put(obj(version=5))
    assert not store.put(obj(version=4))
    assert not store.put(obj(version=5))
    assert store.put(obj(version=10))
    assert version_of(store.get(OWNER)) == 10


FEEDS = {"put 3": ("put", 3), "put 4": ("put", 4), "discard 5": ("discard", 5)}


@pytest.mark.parametrize("order", list(itertools.permutations(FEEDS)), ids=" ".join)
def test_a_deletion_and_its_late_echoes_end_the_same_in_any_order(order):
    store = Store(key_of)
    for step in order:
        what, version = FEEDS[step]
        getattr(store, what)(obj(version=version))
    assert store.get(OWNER) is None
    assert len(store) == 0


def test_a_new_object_of_the_name_of_a_deleted_one_is_taken():
    store = Store(key_of)
    store.put(obj(version=3))
    store.discard(obj(version=4))
    assert store.put(obj(version=5))
    assert not store.discard(obj(version=4))
    assert version_of(store.get(OWNER)) == 5


def test_a_list_replaces_what_it_covers(store):
    store.put(obj("ghost", 2, owner="wine"))
    store.put(obj("kept", 3, owner="wine"))
    store.put(obj("newer", 12, owner="beer"))
    changed = store.replace([obj("kept", 3, owner="wine"), obj("new", 9, owner="ale")], 10)
    assert changed == {("team-a", "wine"), ("team-a", "ale")}
    assert sorted(key_of(each)[1] for each in store) == ["kept", "new", "newer"]


def test_a_list_that_is_older_than_a_deletion_brings_nothing_back(store):
    store.put(obj("a", 2, owner="wine"))
    store.discard(obj("a", 11, owner="wine"))
    assert store.replace([obj("a", 2, owner="wine")], 10) == set()
    assert len(store) == 0


def test_what_is_remembered_of_deletions_does_not_grow_for_ever(store):
    for number in range(1, 1000):
        store.put(obj(f"o{number}", number, owner="wine"))
        store.discard(obj(f"o{number}", number + 1, owner="wine"))
    store.replace([], 2000)
    assert (len(store), store._gone, store._owned) == (0, {}, {})


def test_an_owners_objects_come_oldest_first(store):
    for name, created in {
        "b": "2026-01-01T00:00:02Z",
        "c": "2026-01-01T00:00:01Z",
        "a": "2026-01-01T00:00:02Z",
    }.items():
        store.put(obj(name, owner="wine", created=created))
    store.put(obj("other", owner="beer"))
    assert [key_of(each)[1] for each in store.owned_by(OWNER)] == ["c", "a", "b"]
    assert store.owned_by(("team-b", "wine")) == ()


def test_an_object_that_changes_its_owner_leaves_nothing_with_the_old_one(store):
    store.put(obj("pod", 1, owner="wine"))
    store.put(obj("pod", 2, owner="beer"))
    assert store.owned_by(OWNER) == ()
    assert len(store.owned_by(("team-a", "beer"))) == 1
    store.discard(obj("pod", 3, owner="beer"))
    assert store.owned_by(OWNER) == store.owned_by(("team-a", "beer")) == ()


def test_an_object_without_the_label_belongs_to_nobody(store):
    store.put(obj("stray"))
    store.put({"metadata": {"namespace": "team-a", "name": "bare", "labels": None, "resourceVersion": "7"}})
    assert store.owned_by(OWNER) == ()
    assert len(store.owned_by(("team-a", ""))) == 2


def test_what_nobody_reads_is_not_kept(store):
    kept = obj("pod", 1, owner="wine")
    kept["metadata"]["managedFields"] = [{}] * 100
    store.put(kept)
    assert "managedFields" not in store.get(("team-a", "pod"))["metadata"]


@pytest.mark.parametrize("version", [None, ""])
def test_an_object_without_a_version_is_older_than_any(version):
    bare = obj()
    bare["metadata"]["resourceVersion"] = version
    assert version_of(bare) == 0


def test_iterating_while_the_store_changes_is_safe(store):
    for name in "abc":
        store.put(obj(name, owner="wine"))
    for each in store:
        store.discard(obj(key_of(each)[1], 9, owner="wine"))
    assert len(store) == 0
