"""The loop that looks after the runs of a workspace: who is told what, with how many requests, whatever happens."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from dataclasses import replace

import pytest

from mlp.backends.databricks import pacing, polling
from mlp.backends.databricks.access import token_access
from mlp.backends.databricks.polling import Poller
from mlp.backends.databricks.rounds import Listing, due, pages_worth, pause
from mlp.backends.databricks.states import Ending, Life
from mlp.errors import WorkspaceDenied, WorkspaceError, WorkspaceUnavailable
from mlp.tracking import Patience
from tests.backends.databricks.connected import BRISK, access_to, opened
from tests.backends.databricks.odd_servers import serving

PERIOD = 0.4


class Follower:
    """Is told of a run, and keeps it."""

    def __init__(self):
        self.sightings = []
        self._changed = threading.Condition()

    def __call__(self, sighting):
        with self._changed:
            self.sightings.append(sighting)
            self._changed.notify_all()

    def until(self, fits):
        """The first sighting that fits."""
        with self._changed:
            found = self._changed.wait_for(lambda: next(filter(fits, self.sightings), None), 120)
        assert found is not None, self.sightings
        return found

    def until_life(self, life):
        return self.until(lambda sighting: sighting.state is not None and sighting.state.life is life)


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """One failure of the network is one here: pauses between attempts are for the night."""
    monkeypatch.setattr(polling, "_PATIENCE", Patience(attempts=1, seconds=120))


@pytest.fixture
def place(workspace):
    with opened(access_to(workspace)) as adapter:
        yield adapter


@pytest.fixture
def poller(place):
    poller = Poller(place, period=PERIOD)
    yield poller
    poller.close()


@pytest.fixture
def submit(workspace, place, monkeypatch):
    if workspace.double is not None:
        monkeypatch.setitem(pacing.RATES, pacing.Kind.SUBMIT, pacing.Rate(1000, 100))

    def submit(name="test", file="/Workspace/x.py"):
        task = {"task_key": "main", "new_cluster": workspace.new_cluster, "spark_python_task": {"python_file": file}}
        return place.submit({"run_name": name, "idempotency_token": uuid.uuid4().hex, "tasks": [task]})

    return submit


def eventually(true):
    until = time.monotonic() + 120
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def asked(server, call):
    return [request for request in server.journal.requests() if request.path.endswith(f"/runs/{call}")]


# -- plans -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ({}, ()),
        ({1: 11.0}, ()),
        ({1: 10.1, 2: 12.0}, ()),
        ({1: 10.0, 2: 10.4, 3: 10.6}, (1, 2)),
        ({1: 3.0, 2: 20.0}, (1,)),
    ],
)
def test_what_is_due_soon_goes_with_what_is_due_now(times, found):
    assert due(times, 10.0, 0.5) == found


@pytest.mark.parametrize(
    ("runs", "last", "pages"),
    [
        (0, None, 0),
        (1, None, 0),
        (8, None, 0),
        (9, None, 3),
        (100, None, 30),
        (500, None, 150),
        (500, Listing(21), 150),
        (500, Listing(150), 150),
        (500, Listing(151), 0),
        (500, Listing(151, rounds=9), 0),
        (500, Listing(151, rounds=10), 150),
        (9, Listing(1 << 30), 0),
    ],
)
def test_pages_are_read_where_that_is_cheaper(runs, last, pages):
    assert pages_worth(range(runs), last) == pages


@pytest.mark.parametrize(
    ("failures", "after", "period", "seconds"),
    [
        (1, 0.0, 10.0, 10.0),
        (2, 0.0, 10.0, 20.0),
        (3, 0.0, 10.0, 40.0),
        (4, 0.0, 10.0, 60.0),
        (100_000, 0.0, 10.0, 60.0),
        (5, 0.0, 120.0, 120.0),
        (1, 45.0, 10.0, 45.0),
        (4, 5.0, 10.0, 60.0),
    ],
)
def test_a_workspace_in_trouble_is_left_alone_for_longer_and_longer(failures, after, period, seconds):
    assert pause(failures, after, period) == seconds


# -- what followers are told -------------------------------------------------------------------------------------------


def test_a_run_is_followed_to_its_end(workspace, place, poller, submit):
    file = f"/Workspace/Users/{place.user_name()}/.mlp-tests/{uuid.uuid4().hex}.py"
    place.put(file, b"print('done')\n")
    follower = Follower()
    run_id = submit(file=file)
    poller.follow(run_id, follower)
    until = time.monotonic() + 1800
    while poller.following and time.monotonic() < until:
        time.sleep(0.1)
    last = follower.until_life(Life.ENDED)
    assert last.state.ending is Ending.SUCCEEDED
    assert last.state.task_run_id is not None
    assert not last.gone
    assert last.trouble is None
    assert workspace.host in last.state.page_url
    assert follower.sightings[-1] == last


def test_only_changes_are_told(behind, poller, submit):
    behind.script("held", hold=True)
    run_id, follower = submit("held"), Follower()
    poller.follow(run_id, follower)
    follower.until_life(Life.RUNNING)
    known, rounds = len(follower.sightings), poller.rounds
    eventually(lambda: poller.rounds >= rounds + 4)
    assert len(follower.sightings) == known
    behind.release(run_id)
    follower.until_life(Life.ENDED)
    states = [sighting.state for sighting in follower.sightings]
    assert all(one != other for one, other in itertools.pairwise(states))


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("SKIPPED", Ending.SKIPPED),
        ("INTERNAL_ERROR", Ending.BROKEN),
        ("CLOUD_FAILURE", Ending.BROKEN),
        ("FAILED", Ending.FAILED),
        ("TIMEDOUT", Ending.TIMED_OUT),
        ("CANCELED", Ending.CANCELLED),
    ],
)
def test_every_end_is_told(behind, poller, submit, word, ending):
    behind.script(".", word)
    follower = Follower()
    poller.follow(submit(), follower)
    assert follower.until_life(Life.ENDED).state.ending is ending
    eventually(lambda: poller.following == 0)


def test_a_word_that_nobody_knows_is_no_end(behind, poller, submit):
    behind.script(".", hold=True, unknown="HIBERNATING")
    run_id, follower = submit(), Follower()
    poller.follow(run_id, follower)
    sighting = follower.until(lambda each: each.state is not None and each.state.words == "HIBERNATING")
    assert sighting.state.life is None
    behind.release(run_id)
    follower.until_life(Life.ENDED)


@pytest.mark.parametrize("was_seen", [True, False])
def test_a_run_whose_history_is_over_is_gone(behind, poller, submit, was_seen):
    behind.script(".", hold=True)
    run_id, follower = submit(), Follower()
    if was_seen:
        poller.follow(run_id, follower)
        follower.until_life(Life.RUNNING)
    behind.forget(run_id)
    poller.follow(run_id, follower)
    assert follower.until(lambda sighting: sighting.gone).trouble is None
    eventually(lambda: poller.following == 0)


@pytest.mark.parametrize("kind", ["drop", "500", "503", "429"])
def test_trouble_is_told_when_it_begins_and_when_it_is_over(behind, poller, submit, kind):
    behind.script(".", hold=True)
    follower = Follower()
    poller.follow(submit(), follower)
    seen = follower.until_life(Life.RUNNING)
    behind.faults.add(kind, "/runs/", times=None)
    trouble = follower.until(lambda sighting: sighting.trouble is not None)
    assert isinstance(trouble.trouble, WorkspaceUnavailable)
    assert (trouble.state, trouble.gone) == (seen.state, False)
    failures = poller.failures
    eventually(lambda: poller.failures > failures)
    behind.faults.clear()
    eventually(lambda: follower.sightings[-1].trouble is None)
    assert [sighting.trouble is not None for sighting in follower.sightings[-2:]] == [True, False]
    assert follower.sightings[-1].state == seen.state


def test_a_workspace_that_is_away_loses_no_run(behind, poller, submit):
    behind.script(".", hold=True)
    followers = {submit(): Follower() for _ in range(10)}
    for run_id, follower in followers.items():
        poller.follow(run_id, follower)
    for follower in followers.values():
        follower.until_life(Life.RUNNING)
    behind.stop()
    for follower in followers.values():
        follower.until(lambda sighting: sighting.trouble is not None)
    behind.start()
    for run_id in followers:
        behind.release(run_id)
    for follower in followers.values():
        follower.until_life(Life.ENDED)
        assert not any(sighting.gone for sighting in follower.sightings)


def test_credentials_that_are_refused_are_trouble_until_others_are_there(behind, submit):
    behind.script(".", hold=True)
    run_id, follower = submit(), Follower()
    with opened(token_access(behind.url, "dapiwrong")) as place:
        poller = Poller(place, period=PERIOD)
        poller.follow(run_id, follower)
        trouble = follower.until(lambda sighting: sighting.trouble is not None)
        poller.close()
    assert isinstance(trouble.trouble, WorkspaceDenied)
    assert trouble.state is None


def test_runs_in_trouble_do_not_hold_up_the_others(behind, place, submit, monkeypatch):
    behind.script(".", hold=True)
    bad, good = {submit() for _ in range(5)}, submit()
    asking = place.run

    def run(run_id, **options):
        if run_id in bad:
            raise WorkspaceDenied("not yours")
        return asking(run_id, **options)

    monkeypatch.setattr(place, "run", run)
    poller, followers = Poller(place, period=PERIOD), {run_id: Follower() for run_id in (good, *bad)}
    for run_id, follower in followers.items():
        poller.follow(run_id, follower)
    for run_id in bad:
        assert followers[run_id].until(lambda sighting: sighting.trouble is not None).state is None
    followers[good].until_life(Life.RUNNING)
    known, rounds = len(followers[good].sightings), poller.rounds
    eventually(lambda: poller.rounds >= rounds + 4)
    assert len(followers[good].sightings) == known
    assert followers[good].sightings[-1].trouble is None
    behind.release(good)
    followers[good].until_life(Life.ENDED)
    poller.close()


def test_nothing_is_lost_and_nothing_twice_whatever_goes_wrong_on_the_way(behind, monkeypatch):
    monkeypatch.setitem(pacing.RATES, pacing.Kind.SUBMIT, pacing.Rate(1000, 100))
    behind.script("good", instant=0.5)
    behind.script("bad", instant=0.5, ending="FAILED")
    behind.faults.random(7, 0.3)
    stubborn = replace(BRISK, patience=replace(BRISK.patience, attempts=100))
    with opened(token_access(behind.url, behind.token), stubborn) as place:
        poller, followers = Poller(place, period=PERIOD), {}
        for number in range(30):
            name = "bad" if number % 3 else "good"
            task = {
                "task_key": "main",
                "new_cluster": {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0},
                "spark_python_task": {"python_file": "/Workspace/x.py"},
            }
            run_id = place.submit({"run_name": name, "idempotency_token": f"{name}-{number}", "tasks": [task]})
            followers[run_id] = (name, Follower())
            poller.follow(run_id, followers[run_id][1])
        for name, follower in followers.values():
            ended = follower.until_life(Life.ENDED)
            assert ended.state.ending is (Ending.FAILED if name == "bad" else Ending.SUCCEEDED)
            assert not any(sighting.gone for sighting in follower.sightings)
        poller.close()
    behind.faults.clear()
    assert {run["run_id"] for run in behind.runs()} == followers.keys()


def test_who_cannot_be_told_does_not_end_the_loop(behind, poller, submit, caplog):
    def told(_):
        raise RuntimeError("no time")

    behind.script(".", hold=True)
    poller.follow(submit(), told)
    follower = Follower()
    poller.follow(submit(), follower)
    follower.until_life(Life.RUNNING)
    eventually(lambda: "could not be told" in caplog.text)


def test_an_error_of_ours_is_trouble_and_does_not_end_the_loop(behind, place, submit, monkeypatch, caplog):
    behind.script(".", hold=True)
    asking, broken = place.run, threading.Event()
    monkeypatch.setattr(place, "run", lambda *one, **more: asking(*one, **more) if broken.is_set() else 1 / 0)
    poller, follower = Poller(place, period=PERIOD), Follower()
    poller.follow(submit(), follower)
    trouble = follower.until(lambda sighting: sighting.trouble is not None).trouble
    assert type(trouble) is WorkspaceError
    broken.set()
    follower.until_life(Life.RUNNING)
    poller.close()
    assert "ZeroDivisionError" in caplog.text


def test_who_follows_anew_is_told_anew(behind, poller, submit):
    behind.script(".", hold=True)
    run_id, first, second = submit(), Follower(), Follower()
    poller.follow(run_id, first)
    first.until_life(Life.RUNNING)
    poller.follow(run_id, second)
    second.until_life(Life.RUNNING)
    known = len(first.sightings)
    behind.release(run_id)
    second.until_life(Life.ENDED)
    assert len(first.sightings) == known


def test_a_new_run_is_looked_at_before_the_period_is_over(behind, place, submit):
    behind.script(".", hold=True)
    poller, follower = Poller(place, period=3600), Follower()
    poller.follow(submit(), follower)
    follower.until(lambda sighting: sighting.state is not None)
    poller.close()


# -- requests ----------------------------------------------------------------------------------------------------------


def test_many_runs_need_few_requests(behind, place, poller, submit):
    behind.script(".", hold=True)
    followers = {submit(): Follower() for _ in range(60)}
    for run_id, follower in followers.items():
        poller.follow(run_id, follower)
    for follower in followers.values():
        follower.until_life(Life.RUNNING)
    behind.journal.clear()
    rounds = poller.rounds
    eventually(lambda: poller.rounds >= rounds + 4)
    assert asked(behind, "get") == []
    assert len(asked(behind, "list")) <= 3 * (poller.rounds - rounds + 1)
    for run_id in list(followers)[:3]:
        behind.release(run_id)
        assert followers[run_id].until_life(Life.ENDED).state.task_run_id is not None
    assert place.run(run_id)["run_id"] == run_id


def test_runs_of_others_do_not_make_ours_dear(behind, poller, submit):
    behind.script(".", hold=True)
    ours = [submit() for _ in range(9)]
    for _ in range(80):
        submit()
    followers = {run_id: Follower() for run_id in ours}
    for run_id, follower in followers.items():
        poller.follow(run_id, follower)
    for follower in followers.values():
        follower.until_life(Life.RUNNING)
    rounds = poller.rounds
    eventually(lambda: poller.rounds >= rounds + 3)
    behind.journal.clear()
    rounds = poller.rounds
    eventually(lambda: poller.rounds >= rounds + 3)
    assert len(asked(behind, "list")) <= 4 * 2
    assert asked(behind, "get")
    for run_id, follower in followers.items():
        behind.release(run_id)
        follower.until_life(Life.ENDED)


def test_a_workspace_may_list_nothing_for_us(behind, poller, submit):
    behind.script(".", hold=True)
    behind.faults.add("500", "/runs/list", times=None, status=403)
    followers = {submit(): Follower() for _ in range(10)}
    for run_id, follower in followers.items():
        poller.follow(run_id, follower)
    for follower in followers.values():
        follower.until_life(Life.RUNNING)
        assert all(sighting.trouble is None for sighting in follower.sightings)


def test_a_pause_that_the_workspace_asks_for_is_kept(behind, poller, submit):
    behind.script(".", hold=True)
    follower = Follower()
    poller.follow(submit(), follower)
    follower.until_life(Life.RUNNING)
    behind.faults.add("429", "/runs/get", times=None, seconds=300)
    assert follower.until(lambda sighting: sighting.trouble is not None).trouble.after == 300
    behind.journal.clear()
    another = Follower()
    poller.follow(submit(), another)
    time.sleep(PERIOD * 5)
    assert asked(behind, "get") == []


# -- the thread --------------------------------------------------------------------------------------------------------


def test_there_is_a_thread_only_while_something_is_followed(behind, place, submit, monkeypatch):
    monkeypatch.setattr(polling, "_LINGERING", 0.1)
    behind.script(".", hold=True)
    poller, follower, again, run_id = Poller(place, period=PERIOD), Follower(), Follower(), submit()
    assert poller._thread is None
    poller.follow(run_id, follower)
    thread = poller._thread
    follower.until_life(Life.RUNNING)
    poller.leave(run_id)
    thread.join(120)
    assert not thread.is_alive()
    poller.follow(run_id, again)
    thread = poller._thread
    behind.release(run_id)
    again.until_life(Life.ENDED)
    thread.join(120)
    assert not thread.is_alive()
    poller.close()


def test_what_is_left_is_told_nothing_more(behind, poller, submit):
    behind.script(".", hold=True)
    run_id, follower, other = submit(), Follower(), Follower()
    poller.follow(run_id, follower)
    follower.until_life(Life.RUNNING)
    poller.leave(run_id)
    poller.leave(run_id)
    rounds = poller.rounds
    poller.follow(submit(), other)
    eventually(lambda: poller.rounds >= rounds + 2)
    known = len(follower.sightings)
    behind.release(run_id)
    rounds = poller.rounds
    eventually(lambda: poller.rounds >= rounds + 2)
    assert len(follower.sightings) == known


def test_a_closed_poller_follows_nothing(poller):
    poller.close()
    poller.close()
    poller.follow(1, Follower())
    assert poller.following == 0


def test_closing_does_not_wait_for_a_workspace_that_hangs():
    over, asked = threading.Event(), threading.Event()

    def hang(*_):
        asked.set()
        over.wait(600)

    with serving(hang) as host, opened(token_access(host, "dapi1"), replace(BRISK, timeout=500)) as place:
        poller = Poller(place, period=PERIOD)
        poller.follow(1, Follower())
        thread = poller._thread
        try:
            assert asked.wait(120)
            poller.close()
            thread.join(120)
            assert not thread.is_alive()
        finally:
            over.set()


def test_a_poller_may_be_closed_by_who_is_told(behind, place, submit):
    behind.script(".", hold=True)
    poller, closed = Poller(place, period=PERIOD), threading.Event()

    def told(_):
        poller.close()
        closed.set()

    poller.follow(submit(), told)
    assert closed.wait(120)
    assert place.user_name() == behind.user
