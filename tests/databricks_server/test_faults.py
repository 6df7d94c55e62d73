"""What goes wrong when it is told to, and whether the effect is there all the same."""

from __future__ import annotations

import threading

import pytest
import requests

from tests.databricks_server.clients import until

BODY = {
    "run_name": "instant",
    "tasks": [
        {
            "task_key": "main",
            "spark_python_task": {"python_file": "/Workspace/x.py"},
            "new_cluster": {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0},
        }
    ],
}


@pytest.fixture
def ask(databricks):
    """One request, never sent again."""
    databricks.script("instant", {"instant": 0.0})
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {databricks.token}"

        def ask(**options):
            return session.post(f"{databricks.url}/api/2.2/jobs/runs/submit", json=BODY, **{"timeout": 60} | options)

        yield ask


@pytest.mark.parametrize("after", [False, True])
def test_a_dropped_request_has_had_its_effect_or_not(databricks, ask, after):
    databricks.faults.add("drop", "/runs/submit", after=after)

    with pytest.raises(requests.ConnectionError):
        ask()

    assert len(databricks.runs()) == after
    assert ask().ok


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("500", 500), ("503", 503)])
@pytest.mark.parametrize("after", [False, True])
def test_an_error_has_a_status_and_may_hide_an_effect(databricks, ask, kind, status, after):
    databricks.faults.add(kind, "/runs/submit", after=after, seconds=3, times=2)

    answers = [ask() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers["Retry-After"] == "3"
    assert "error_code" in answers[0].json()
    assert len(databricks.runs()) == (3 if after else 1)


@pytest.mark.parametrize("after", [False, True])
def test_a_request_hangs_until_it_is_let_go(databricks, ask, after):
    databricks.faults.add("hang", "/runs/submit", after=after)
    with pytest.raises(requests.Timeout):
        ask(timeout=0.5)
    until(lambda: databricks.faults.done, bool)
    if after:
        until(databricks.runs, bool)
    assert len(databricks.runs()) == after

    databricks.faults.add("hang", "/runs/submit")
    letting_go = threading.Timer(0.2, databricks.faults.clear)
    letting_go.start()
    with pytest.raises(requests.ConnectionError):
        ask()
    letting_go.join()


@pytest.mark.parametrize("kind", ["slow", "drip"])
def test_an_answer_may_take_its_time(databricks, ask, kind):
    databricks.faults.add(kind, "/runs/submit", after=True, seconds=0.2)

    assert ask().json()["run_id"] == databricks.runs()[0]["run_id"]
    assert databricks.journal.requests(path="/runs/submit")[0].fault == f"{kind} after"


def test_a_fault_happens_to_what_it_is_meant_for_and_may_wait(databricks, ask):
    databricks.faults.add("500", "/runs/get")
    databricks.faults.add("500", "/runs/submit", method="GET")
    databricks.faults.add("503", "/runs/submit", skip=1)

    assert [ask().status_code for _ in range(3)] == [200, 503, 200]


def test_chance_is_the_same_for_the_same_seed(databricks, ask):
    seen = []
    for _ in range(2):
        databricks.faults.random(7, 0.5, kinds=("429", "500", "503"), longest=0)
        seen.append([ask().status_code for _ in range(20)])
    databricks.faults.clear()

    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 2
    assert ask().ok


def test_a_server_stops_though_requests_hang(databricks, ask):
    databricks.faults.add("hang", "/runs/submit")
    caught = []

    def hang():
        try:
            ask()
        except requests.ConnectionError as error:
            caught.append(error)

    waiting = threading.Thread(target=hang)
    waiting.start()
    while not databricks.faults.done:
        waiting.join(0.01)
    databricks.stop()
    waiting.join()
    databricks.start()

    assert len(caught) == 1
    assert databricks.runs() == []


def test_requests_are_counted_by_the_second(databricks, ask):
    for _ in range(5):
        ask()

    assert databricks.journal.count("POST", "/runs/submit") == 5
    assert sum(databricks.journal.by_second("POST").values()) == 5
    assert 1 <= databricks.journal.most_in_a_second("POST", "/runs/submit") <= 5
    assert {each.status for each in databricks.journal.requests()} == {200}
