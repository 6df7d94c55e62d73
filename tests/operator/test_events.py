"""Events are posted beside the work, in order, and neither a slow nor an unwilling server holds anything up."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from kubernetes.aio.config import kube_config

from mlp_operator.machinery.cluster import Cluster
from mlp_operator.machinery.events import Event, EventRecorder
from tests.operator.build import run_body
from tests.servers.api_server import serving


@pytest.fixture
async def server(tmp_path, monkeypatch):
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with serving(tmp_path / "kubeconfig") as server:
        yield server


async def posted(server, *events, about=None):
    async with Cluster(timeout=5) as cluster:
        recorder = EventRecorder(cluster, component="mlp-operator")
        for event in events:
            recorder.record(run_body() if about is None else about, event)
        posting = asyncio.create_task(recorder.run())
        async with asyncio.timeout(10):
            await recorder.flush()
        posting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await posting
    return [obj for path, obj in server.objects.items() if "/events/" in path]


async def test_events_come_in_the_order_in_which_things_happened(server):
    found = await posted(server, *(Event("Normal", f"Reason{number}", "m") for number in range(20)))
    assert [each["reason"] for each in found] == [f"Reason{number}" for number in range(20)]


async def test_an_event_is_about_this_very_run(server):
    (found,) = await posted(server, Event("Warning", "RunFailed", "why"))
    assert found["involvedObject"] == {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "name": "wine",
        "namespace": "team-a",
        "uid": "run-uid",
        "resourceVersion": "900",
    }
    assert (found["type"], found["message"], found["count"]) == ("Warning", "why", 1)


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 5000, "🍷" * 5000], ids=["one byte", "two", "four"])
async def test_a_message_is_cut_to_what_an_event_takes(server, text):
    (found,) = await posted(server, Event("Normal", "R", text))
    assert 1000 < len(found["message"].encode()) <= 1024
    assert found["message"].endswith(f"{text[0]}…")


async def test_an_event_that_is_refused_is_dropped_and_the_next_one_comes(server):
    server.errors["POST", "events"] = (403, "Forbidden")
    found = await posted(server, Event("Normal", "First", "m"), Event("Normal", "Second", "m"))
    assert [each["reason"] for each in found] == ["Second"]


async def test_a_name_of_an_event_is_a_name_even_for_the_longest_run(server):
    (found,) = await posted(server, Event("Normal", "R", "m"), about=run_body(metadata={"name": "n" * 52}))
    assert len(found["metadata"]["name"]) <= 253
    assert found["metadata"]["name"].startswith("n" * 52 + ".")
