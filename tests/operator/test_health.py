"""Alive, ready, fresh: what the operator says about itself, and when kubelet had better start it anew."""

from __future__ import annotations

import aiohttp
import pytest

from mlp_operator.machinery.health import Freshness, Health, serve_health
from mlp_operator.machinery.metrics import Metrics


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def freshness(clock):
    return Freshness(grace=30, clock=clock)


def obj(version):
    return {"metadata": {"name": "x", "resourceVersion": str(version)}}


def test_a_watch_that_delivers_what_lists_show_is_fresh(freshness, clock):
    freshness.delivered("pods", obj(5))
    freshness.listed("pods", [obj(3), obj(5)])
    clock.now += 1000
    assert freshness.stale() == []


def test_a_watch_that_stays_behind_a_list_is_stale_after_the_grace_time(freshness, clock):
    freshness.delivered("pods", obj(5))
    freshness.listed("pods", [obj(6)])
    freshness.listed("jobs", [])
    clock.now += 30
    assert freshness.stale() == []
    clock.now += 1
    assert freshness.stale() == ["pods"]


def test_a_watch_that_catches_up_is_fresh_again(freshness, clock):
    freshness.listed("pods", [obj(6)])
    clock.now += 100
    freshness.delivered("pods", obj(5))
    assert freshness.stale() == ["pods"]
    freshness.delivered("pods", obj(7))
    assert freshness.stale() == []


def test_a_later_list_does_not_give_a_dead_watch_more_time(freshness, clock):
    for version in range(10, 20):
        freshness.listed("pods", [obj(version)])
        clock.now += 10
    assert freshness.stale() == ["pods"]


def test_an_older_object_that_comes_late_takes_nothing_back(freshness, clock):
    freshness.delivered("pods", obj(9))
    freshness.delivered("pods", obj(2))
    freshness.listed("pods", [obj(9)])
    clock.now += 100
    assert freshness.stale() == []


def test_numbers_are_compared_as_numbers(freshness, clock):
    freshness.delivered("pods", obj(10))
    freshness.listed("pods", [obj(9)])
    clock.now += 100
    assert freshness.stale() == []


@pytest.fixture
async def asked(freshness, clock):
    health, metrics = Health(freshness, resync_limit=900, clock=clock), Metrics()
    metrics.reconciles.labels(result="success").inc()
    runner = await serve_health(health, metrics, host="127.0.0.1", port=0)
    port = runner.addresses[0][1]

    async def get(path):
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()

    get.health = health
    yield get
    await runner.cleanup()


async def test_an_operator_that_starts_is_alive_and_not_ready(asked):
    assert await asked("/healthz") == (200, "ok")
    assert await asked("/readyz") == (503, "not ready")


async def test_an_operator_whose_cache_is_filled_is_ready(asked):
    asked.health.resynced()
    assert await asked("/readyz") == (200, "ok")


async def test_a_stale_watch_ends_both(asked, freshness, clock):
    asked.health.resynced()
    freshness.listed("projectruns", [obj(7)])
    clock.now += 31
    assert await asked("/healthz") == (503, "the watch of projectruns does not deliver")
    assert await asked("/readyz") == (503, "not ready")


async def test_lists_that_have_failed_for_long_end_it_too(asked, clock):
    asked.health.resynced()
    clock.now += 901
    assert await asked("/healthz") == (503, "the last full list is 901 s old")


async def test_metrics_are_served_in_the_form_that_prometheus_reads(asked):
    status, text = await asked("/metrics")
    assert status == 200
    assert 'mlp_reconcile_total{result="success"} 1.0' in text.splitlines()
