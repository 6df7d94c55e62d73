"""kopf watches, and does nothing else: no handler of another kind, no storage, no trace on a user's object."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import fields, is_dataclass

import kopf
import pytest

from mlp.resources import names
from mlp_operator.machinery import watching
from mlp_operator.machinery.cache import Store, key_of
from mlp_operator.machinery.cluster import JOBS, PODS
from mlp_operator.machinery.health import Freshness
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.machinery.queue import WorkQueue
from mlp_operator.machinery.watching import Watched
from mlp_operator.runs.caching import owner_by_label
from mlp_operator.runs.controller import RUNS


@pytest.fixture
async def started(monkeypatch):
    """What kopf is started with."""
    given = {}

    async def operator(**arguments):
        given.update(arguments)

    monkeypatch.setattr(kopf, "operator", operator)
    level = logging.getLogger("kopf.objects").level
    queue = WorkQueue()
    kinds = (
        Watched(RUNS, Store(key_of)),
        Watched(JOBS, Store(owner_by_label), names.RUN_LABEL),
        Watched(PODS, Store(owner_by_label), names.RUN_LABEL),
    )
    await watching.watch(
        kinds,
        queue,
        namespaces=(),
        stop=asyncio.Event(),
        started=asyncio.Event(),
        freshness=Freshness(grace=1),
        metrics=Metrics(),
    )
    given |= {"queue": queue, "jobs": kinds[1].store}
    yield given
    logging.getLogger("kopf.objects").setLevel(level)


def handlers(registry, part):
    return list(getattr(registry, part)._handlers)


async def test_only_event_handlers_are_registered(started):
    registry = started["registry"]
    parts = {name: handlers(registry, name) for name in vars(registry) if hasattr(getattr(registry, name), "_handlers")}
    activities = [handler.id for handler in parts.pop("_activities")]
    watched = parts.pop("_watching")
    assert {name: len(found) for name, found in parts.items()} == dict.fromkeys(parts, 0)
    assert {"_changing", "_spawning", "_indexing", "_webhooks"} <= set(parts), "kopf has renamed its registries"
    assert activities == ["login_via_client"]
    assert [(each.selector.group, each.selector.version, each.selector.any_name) for each in watched] == [
        ("mlp.dev", "v1alpha1", "projectruns"),
        ("batch", "v1", "jobs"),
        ("", "v1", "pods"),
    ]


async def test_kopf_keeps_to_itself(started):
    settings = started["settings"]
    assert started["standalone"]
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    assert settings.queueing.worker_limit is None


async def test_everywhere_means_no_list_of_namespaces(started):
    assert (started["clusterwide"], started["namespaces"]) == (True, [])


async def test_the_server_sends_only_what_belongs_to_runs(started):
    selectors = started["settings"].watching.label_selectors
    assert {(each.group, each.version, each.any_name): text for each, text in selectors.items()} == {
        ("batch", "v1", "jobs"): "mlp.dev/projectrun",
        ("", "v1", "pods"): "mlp.dev/projectrun",
    }


async def test_the_storages_store_nothing(started):
    persistence = started["settings"].persistence
    assert is_dataclass(persistence)
    storages = [getattr(persistence, field.name) for field in fields(persistence) if "storage" in field.name]
    assert len(storages) == 2
    body = kopf.Body({"metadata": {"name": "x", "annotations": {}}, "spec": {"a": 1}, "status": {}})
    patch = kopf.Patch()
    diffbase, progress = persistence.diffbase_storage, persistence.progress_storage
    diffbase.store(body=body, patch=patch, essence=diffbase.build(body=body))
    progress.store(key="k", record={"started": "now"}, body=body, patch=patch)
    progress.touch(body=body, patch=patch, value="x")
    progress.purge(key="k", body=body, patch=patch)
    assert dict(patch) == {}
    assert (diffbase.fetch(body=body), progress.fetch(key="k", body=body)) == (None, None)


def job(version, kind="MODIFIED", name="wine"):
    metadata = {"namespace": "team-a", "name": name, "resourceVersion": str(version)}
    return {"type": kind, "object": {"metadata": metadata | {"labels": {names.RUN_LABEL: "wine"}}}}


@pytest.mark.parametrize("first", [None, "ADDED", "MODIFIED"], ids=["initial list", "added", "modified"])
async def test_news_of_a_job_bring_its_run_on_the_queue(started, first):
    handler = handlers(started["registry"], "_watching")[1].fn
    store, queue = started["jobs"], started["queue"]

    async def bring(event):
        before = len(queue)
        await handler(event=event, logger=None)
        if len(queue) > before:
            assert await queue.get() == ("team-a", "wine")
            queue.done(("team-a", "wine"), ok=True)
            return True
        return False

    version = 100
    assert await bring(job(version, first))
    assert not await bring(job(version)), "an echo is no news"
    assert not await bring(job(version - 1)), "nor is what is older"
    assert await bring(job(version + 1, "DELETED"))
    assert not await bring(job(version)), "nor what is deleted"
    assert store.get(("team-a", "wine")) is None
