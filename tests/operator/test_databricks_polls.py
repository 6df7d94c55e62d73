"""How many requests it takes to know how many runs on Databricks are, whoever has submitted them.

Only what was asked is counted, never when: how many requests there are in a second is the pace's own business.
"""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path

import pytest
import requests

from mlp.backends.databricks.states import Life
from mlp.backends.databricks.workspace import PAGE
from tests.databricks_server import DatabricksServer
from tests.operator.test_delegate import PATIENCE, Cluster, at_work

RUNS = 120
ROUNDS = 4
LISTED = "/jobs/runs/list"
ASKED = "/jobs/runs/get"
# What Databricks publishes for runs/get, a second; of runs/list we take what it says of others.
MOST_GETS, MOST_LISTS = 100, 30
PERIOD = 10
"""Seconds between rounds as the operator is shipped."""


@pytest.fixture
def double(tmp_path):
    with DatabricksServer(tmp_path / "databricks", python=Path(sys.executable)) as server:
        server.script("", hold=True)
        yield server
    assert server.mistakes == []


@pytest.fixture
def there(double):
    """The ids of many runs that an operator has submitted before."""
    cluster = {"spark_version": "16.4.x", "node_type_id": "i3", "num_workers": 1}
    task = {"task_key": "main", "spark_python_task": {"python_file": "/Workspace/x.py"}, "new_cluster": cluster}
    found = {}
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {double.token}"
        for number in range(RUNS):
            name = f"wine-{number}"
            body = {"run_name": name, "idempotency_token": f"uid-{name}-1", "tasks": [task]}
            answer = session.post(f"{double.url}/api/2.2/jobs/runs/submit", json=body, timeout=PATIENCE)
            found[name] = answer.json()["run_id"]
    return found


def rounds(double):
    """How often the active runs were listed from the first page on."""
    return sum("page_token" not in each.query for each in double.journal.requests("GET", LISTED))


def gets(double):
    return sum(each.path.endswith(ASKED) for each in double.journal.requests("GET", ASKED))


async def until(fits):
    async with asyncio.timeout(PATIENCE):
        while not fits():  # noqa: ASYNC110 -- what is waited for happens in other threads, and in the double
            await asyncio.sleep(0.02)


async def test_a_round_lists_the_runs_that_go_on_and_asks_singly_for_those_that_have_ended_alone(double, there):
    async with at_work(Cluster(dbx={"token": double.token}), double.url) as desk:
        runs = {name: desk.run(name) for name in there}
        for name, run in runs.items():
            desk.delegate.take_up(desk.key(run), run, token=desk.token(run), run_id=str(there[name]))

        def lives():
            states = [desk.remote(run).state for run in runs.values()]
            return [None if state is None else state.life for state in states]

        await until(lambda: set(lives()) == {Life.RUNNING})
        # One more round, so that none is counted that has begun before.
        before = rounds(double)
        await until(lambda: rounds(double) > before)
        double.journal.clear()
        await until(lambda: rounds(double) > ROUNDS)
        counted, pages, single = rounds(double), double.journal.count("GET", LISTED), gets(double)
        a_round = math.ceil(RUNS / PAGE)
        assert single == 0, "who goes on is found on the pages"
        assert pages <= (counted + 1) * a_round, "and nothing is read behind the last of ours"

        double.journal.clear()
        for run_id in there.values():
            double.release(run_id)
        await until(lambda: set(lives()) == {Life.ENDED})
        asked = gets(double)
        # One that is asked for in the very moment of its end is asked for again.
        assert RUNS <= asked < 2 * RUNS, "who has ended is asked for once, to know how"
        after = len(double.journal.requests())
        await asyncio.sleep(2)
        assert len(double.journal.requests()) == after, "and never again"
    # What five hundred of them would take in each second, with the operator as it is shipped.
    more = 500 / RUNS / PERIOD
    assert pages / counted * more < MOST_LISTS / 2
    assert asked * more < MOST_GETS, "even if all of them ended between two rounds"
