"""Observe, decide, act: what a run costs at the API server, and what happens when that answers badly or not at all."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from kubernetes.aio.config import kube_config

from mlp.backends.databricks.states import Ending, Life, RunState
from mlp.resources import ProjectRun, names
from mlp_operator.machinery.cache import Store, key_of
from mlp_operator.machinery.cluster import ApiError, Cluster
from mlp_operator.machinery.events import EventRecorder
from mlp_operator.runs.actions import Remote, RemoteOutput
from mlp_operator.runs.caching import owner_by_label
from mlp_operator.runs.controller import RunController
from mlp_operator.runs.recording import TrackedRun
from tests.operator.build import COMMIT, RULES, failed, pod, resolved, run_body, succeeded, working
from tests.operator.remote_world import BACKEND, remotely_resolved
from tests.servers.api_server import serving

KEY = ("team-a", "wine")
RUN = "/apis/mlp.dev/v1alpha1/namespaces/team-a/projectruns/wine"
JOB = "/apis/batch/v1/namespaces/team-a/jobs/wine"


class Known:
    """The answers of a look-up that needs no Git: what a resolver tells a controller."""

    def __init__(self):
        self.found = {}

    def outcome(self, key, uid):
        return self.found.get((key, uid))

    def start(self, key, run, _now):
        remote = run.spec.backend.type == "Databricks"
        self.found[key, run.uid] = remotely_resolved() if remote else resolved()

    def forget(self, key):
        self.found = {known: value for known, value in self.found.items() if known[0] != key}


class Nobody:
    """A tracker whom no run here asks for anything."""

    def outcome(self, _key, _uid):
        return None

    def forget(self, _key):
        pass

    def leave(self, key, _now, *, present=None, told_by_pods=()):
        pass

    def take_up(self, _key, run, _server, tracked, _now):
        pass


class Told(Nobody):
    """A tracker that has everything done at once."""

    def __init__(self):
        self.abandoned = set()
        self.known = {}
        self.left = []

    def take_up(self, _key, run, _server, tracked, _now):
        self.known[run.uid] = tracked

    def leave(self, _key, _now, *, present=None, told_by_pods=()):
        self.left.append((present, set(told_by_pods)))

    def abandon(self, _key, pod, _now):
        self.abandoned.add(pod["metadata"]["uid"])

    def released(self, uid):
        return uid in self.abandoned


class Elsewhere:
    """A delegate to a Databricks on which everything takes place at once that is asked for."""

    def __init__(self, server):
        self.server = server
        self.known = {}
        self.asked = []

    def remote(self, _key, _uid, token):
        return self.known.get(token)

    def take_up(self, _key, _run, *, token, run_id):
        self.known[token] = Remote(token, run_id)

    def announce(self, token):
        self.asked.append(("announce", token))

    def submit(self, _key, _run, task, _resolved, _now):
        body = self.server.objects[RUN]
        self.asked.append(("submit", body["metadata"].get("finalizers"), body["status"]["databricks"]))
        self.known[task.token] = Remote(task.token, "501")

    def find(self, _key, _run, token, _now):
        self.asked.append(("find", token))
        self.known[token] = Remote(token, "501")

    def cancel(self, _key, _run, run_id, _now):
        self.asked.append(("cancel", run_id))
        self.ends(Ending.CANCELLED)

    def fetch(self, _key, _run, token, _state, _now):
        self.known[token] = replace(self.known[token], output=RemoteOutput())

    def forget(self, _key):
        self.known = {}

    def ends(self, ending):
        for token, remote in self.known.items():
            self.known[token] = replace(remote, state=RunState(Life.ENDED, ending, words=str(ending), task_run_id=1))


class Operator:
    """One operator process beside an API server. `another` is the process that comes after it."""

    def __init__(self, server, cluster):
        self.server = server
        self.cluster = cluster
        self.runs, self.jobs, self.pods = Store(key_of), Store(owner_by_label), Store(owner_by_label)
        self.recorder = EventRecorder(cluster, component="test")
        self.resolver = Known()
        self.databricks = Elsewhere(server)
        self.controller = RunController(
            runs=self.runs,
            jobs=self.jobs,
            pods=self.pods,
            cluster=cluster,
            resolver=self.resolver,
            tracker=Nobody(),
            delegate=self.databricks,
            recorder=self.recorder,
            rules=RULES,
        )

    def tell(self, tracker):
        """Have another tracker told from now on."""
        for part in (self.controller, self.controller._observer, self.controller._actor):
            part._tracker = tracker
        return tracker

    def another(self):
        return Operator(self.server, self.cluster)

    def watch(self, *pods):
        """What the watches would bring by now."""
        for path, obj in self.server.objects.items():
            store = {"projectruns": self.runs, "jobs": self.jobs}.get(path.split("/")[-2])
            if store is not None:
                store.put(deepcopy(obj))
        for each in pods:
            self.pods.put(each)

    async def look(self, *pods):
        self.watch(*pods)
        return await self.controller.reconcile(KEY)

    @property
    def status(self):
        return self.server.objects[RUN]["status"]

    @property
    def reason(self):
        return next((each["reason"] for each in self.status.get("conditions", ()) if each["type"] == "Succeeded"), None)

    @property
    def writes(self):
        return [(method, path) for method, path in self.server.requests if method != "GET" and "/events" not in path]

    async def events(self):
        posting = asyncio.create_task(self.recorder.run())
        await self.recorder.flush()
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        return [obj["reason"] for path, obj in self.server.objects.items() if "/events/" in path]

    def pod(self, make, **parts):
        return make(of=self.server.objects[JOB]["metadata"]["uid"], **parts)


@pytest.fixture
async def operator(tmp_path, monkeypatch):
    # The client reads KUBECONFIG once, when it is imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with serving(tmp_path / "kubeconfig") as server, Cluster(timeout=5) as cluster:
        server.store(RUN, run_body())
        yield Operator(server, cluster)


async def test_a_quick_life_costs_four_writes(operator):
    await operator.look()
    await operator.look(operator.pod(working))
    await operator.look(operator.pod(succeeded))
    assert [method for method, _ in operator.writes] == ["POST", "PATCH", "PATCH", "PATCH"]
    assert (operator.status["phase"], operator.status["source"]["commit"]) == ("Succeeded", COMMIT)
    assert await operator.events() == ["ProjectResolved", "JobCreated", "RunStarted", "RunSucceeded"]


async def test_a_finished_run_costs_nothing_more(operator):
    await operator.look()
    await operator.look(operator.pod(succeeded))
    asked = len(operator.server.requests)
    successor = operator.another()
    assert await successor.look(operator.pod(failed)) is None
    assert len(operator.server.requests) == asked
    assert operator.resolver.found == {}


LOST = {"the Job's creation": ("POST", "jobs"), "the status": ("PATCH", "projectruns")}


@pytest.mark.parametrize("request_", LOST.values(), ids=LOST)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "and the process killed"])
async def test_an_answer_that_is_lost_makes_no_second_job(operator, request_, restarted):
    operator.server.lost.add(request_)
    with pytest.raises(ApiError, match="504"):
        await operator.look()
    after = operator.another() if restarted else operator
    # The watches are behind: only the run is known.
    after.runs.put(deepcopy(operator.server.objects[RUN]))
    await after.controller.reconcile(KEY)
    made = operator.server.objects[JOB]["metadata"]["uid"]
    assert (after.status["kubernetes"]["jobUid"], after.status["phase"]) == (made, "Preparing")
    await after.look(operator.pod(succeeded))
    assert after.status["phase"] == "Succeeded"


async def test_a_job_of_that_name_that_is_not_ours_stays_and_is_waited_for(operator):
    foreign = {"metadata": {"name": "wine", "namespace": "team-a", "uid": "foreign"}, "spec": {"template": {}}}
    foreign = operator.server.store(JOB, foreign)
    assert await operator.look() == 5
    assert (operator.reason, operator.server.objects[JOB]) == ("JobConflict", foreign)
    assert operator.server.count("DELETE", "jobs") == 0
    del operator.server.objects[JOB]
    operator.jobs.discard(foreign)
    await operator.look()
    assert operator.reason == "Submitted"


REFUSALS = {
    "a quota": (403, "Forbidden", "Pending", 15),
    "a wrong pod": (422, "Invalid", "Failed", None),
    "a malformed object": (400, "BadRequest", "Failed", None),
}


@pytest.mark.parametrize(("code", "why", "phase", "again"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_job_is_told_with_the_servers_words(operator, code, why, phase, again):
    operator.server.errors["POST", "jobs"] = code, why
    assert await operator.look() == again
    assert (operator.status["phase"], operator.reason) == (phase, "JobRefused")
    assert f"made up: {why}" in operator.status["conditions"][0]["message"]


@pytest.mark.parametrize("code", [409, 429, 500, 503])
async def test_a_server_in_trouble_is_asked_again_by_the_queue(operator, code):
    operator.server.errors["PATCH", "projectruns"] = code, "Trouble"
    with pytest.raises(ApiError):
        await operator.look()
    await operator.look()
    assert (operator.status["phase"], operator.server.count("POST", "jobs")) == ("Preparing", 1)


async def test_before_a_job_counts_as_deleted_the_server_has_to_say_so(operator):
    await operator.look()
    behind = operator.another()
    behind.runs.put(deepcopy(operator.server.objects[RUN]))
    await behind.controller.reconcile(KEY)
    assert (operator.reason, operator.server.count("POST", "jobs")) == ("Submitted", 1)
    del operator.server.objects[JOB]
    gone = operator.another()
    gone.runs.put(deepcopy(operator.server.objects[RUN]))
    await gone.controller.reconcile(KEY)
    assert operator.reason == "JobDeleted"


async def test_a_run_that_is_gone_when_its_status_is_written_is_no_failure(operator):
    await operator.look()
    started = operator.pod(working)
    del operator.server.objects[RUN]
    operator.pods.put(started)
    assert await operator.controller.reconcile(KEY) is None
    assert len(operator.runs) == 0


async def test_a_new_run_of_the_same_name_does_not_get_the_end_of_the_one_before(operator):
    await operator.look()
    done = operator.pod(succeeded)
    operator.server.store(RUN, run_body(metadata={"uid": "another"}))
    operator.pods.put(done)
    with pytest.raises(ApiError, match="Conflict"):
        await operator.controller.reconcile(KEY)
    assert "phase" not in operator.status


async def test_pods_of_an_earlier_run_of_the_same_name_say_nothing(operator):
    await operator.look(pod("Failed", of="the Job of an earlier run"))
    assert operator.reason == "Submitted"


async def test_a_ttl_that_is_over_does_not_delete_a_newer_run_of_the_name(operator, monkeypatch):
    operator.server.objects[RUN]["spec"]["ttlSecondsAfterFinished"] = 0
    await operator.look()
    held = operator.pod(succeeded, held=True)
    newer = run_body(metadata={"uid": "another", "resourceVersion": "90000"})

    async def meanwhile(_pod):
        operator.pods.discard(held)
        operator.runs.put(operator.server.store(RUN, newer))

    monkeypatch.setattr(operator.controller._actor, "release", meanwhile)
    await operator.look(held)
    assert operator.server.objects[RUN]["metadata"]["uid"] == "another"


def spoken_for(pod, run="run-uid", **parts):
    """A pod that says what its run in MLflow is, and whose."""
    told = {"uri": "http://mlflow", "runId": "0123", "projectRun": run}
    pod["metadata"] |= {"annotations": {names.TRACKING_ANNOTATION: json.dumps(told)}, **parts}
    return pod


@pytest.mark.parametrize(
    ("run", "created", "earlier"),
    [("run-uid", "2026-03-01T11:59:40Z", False), ("another", "2026-03-01T11:59:50Z", True)],
    ids=["made by a server whose clock is late", "made in the same second"],
)
async def test_a_pods_word_tells_the_run_that_it_was_made_for(operator, run, created, earlier):
    """The run is of 11:59:50."""
    told = operator.tell(Told())
    gone = spoken_for(pod("Failed", held=True), run, creationTimestamp=created)
    gone = operator.server.store(f"/api/v1/namespaces/team-a/pods/{gone['metadata']['name']}", gone)
    await operator.look(deepcopy(gone))
    assert told.abandoned == ({gone["metadata"]["uid"]} if earlier else set())


async def test_what_a_deleted_run_has_left_in_mlflow_is_ended_though_another_has_its_name(operator):
    told = operator.tell(Told())
    await operator.look(spoken_for(pod("Running", held=True)))
    assert told.left == []
    newer = run_body(metadata={"uid": "another", "resourceVersion": "90000"})
    operator.runs.put(operator.server.store(RUN, newer))
    await operator.controller.reconcile(KEY)
    await operator.controller.reconcile(KEY)
    assert told.left == [("another", {"0123"})]


async def test_a_process_knows_what_the_one_before_has_begun_in_mlflow(operator):
    recorded = {"runId": "0123", "experimentId": "7", "uri": "http://mlflow", "state": "SCHEDULED"}
    body = operator.server.objects[RUN]
    body["spec"] |= {"suspend": True, "tracking": {"uri": "http://mlflow"}}
    body["status"]["mlflow"] = recorded
    told = operator.tell(Told())
    await operator.look()
    assert told.known == {"run-uid": TrackedRun("http://mlflow", "7", "0123", "SCHEDULED")}
    del operator.server.objects[RUN]
    operator.runs.discard(operator.runs.get(KEY))
    await operator.controller.reconcile(KEY)
    assert told.left == [(None, set())]


async def test_a_shutdown_deletes_the_job_once(operator):
    await operator.look()
    operator.server.objects[RUN]["spec"]["shutdown"] = "Terminate"
    operator.server.store(RUN, operator.server.objects[RUN])
    await operator.look()
    assert operator.status["phase"] == "Cancelled"
    assert operator.server.count("DELETE", "jobs") == 1


async def test_a_newer_operators_fields_are_left_alone(operator):
    operator.server.objects[RUN]["status"] |= {"later": {"a": 1}}
    await operator.look()
    assert operator.status["later"] == {"a": 1}


# --- objects that our models refuse: written under another schema ---------------------------------------------------


def odd(**status):
    body = run_body(backoffLimit=-5, status={"observedGeneration": -1, **status})
    body["metadata"] |= {"resourceVersion": "9000"}
    return body


def condition(status, reason="Succeeded"):
    return {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


async def test_an_object_that_cannot_be_read_fails_with_the_fields_name(operator):
    operator.server.store(RUN, odd())
    for _ in range(2):
        assert await operator.look() is None
    assert (operator.status["phase"], operator.reason, len(operator.writes)) == ("Failed", "InvalidSpec", 1)
    assert "spec.backoffLimit" in operator.status["conditions"][0]["message"]


async def test_a_status_that_cannot_be_read_is_replaced(operator):
    operator.server.store(RUN, odd(conditions=[{"type": "Odd"}]))
    assert await operator.look() is None
    assert operator.reason == "InvalidSpec"


UNTOUCHED = {
    "succeeded long ago": odd(phase="Succeeded", conditions=[condition("True")]),
    "failed long ago": odd(phase="Failed", conditions=[condition("False", "EntryPointFailed")]),
}
UNTOUCHED["of another manager"] = odd()
UNTOUCHED["of another manager"]["spec"]["managedBy"] = "example.org/other"
UNTOUCHED["being deleted"] = odd()
UNTOUCHED["being deleted"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("body", UNTOUCHED.values(), ids=UNTOUCHED)
async def test_what_is_not_ours_or_over_is_not_written_even_if_it_cannot_be_read(operator, body):
    operator.server.store(RUN, body)
    assert await operator.look() is None
    assert operator.writes == []


async def test_pods_of_a_run_that_cannot_be_read_do_not_hold_its_deletion_up(operator):
    await operator.look()
    held = operator.pod(failed, held=True, deleting=0)
    held = deepcopy(operator.server.store(f"/api/v1/namespaces/team-a/pods/{held['metadata']['name']}", held))
    body = odd()
    body["metadata"] |= {"deletionTimestamp": "2026-03-01T12:01:00Z", "finalizers": ["foregroundDeletion"]}
    operator.server.store(RUN, body)
    told = operator.tell(Told())
    await operator.look(held)
    await operator.look()
    assert told.abandoned == {held["metadata"]["uid"]}
    assert [path.rpartition("/")[2] for method, path in operator.writes if "/pods/" in path] == ["wine-1"]


async def test_a_run_that_waits_says_for_how_long(operator):
    await operator.look()
    operator.server.objects[RUN]["spec"]["ttlSecondsAfterFinished"] = 3600
    operator.server.store(RUN, operator.server.objects[RUN])
    done = operator.pod(succeeded)
    end = datetime.now(UTC) - timedelta(seconds=60)
    done["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    again = await operator.look(done)
    assert again == pytest.approx(3540, abs=5)
    assert ProjectRun.parse(operator.server.objects[RUN]).finished


@pytest.mark.parametrize(("others", "reason"), [(0, "Fetching"), (99, "Submitted")])
async def test_in_a_crowd_a_slow_stage_has_to_last_longer_to_be_written(operator, others, reason):
    await operator.look()
    for number in range(others):
        operator.controller._count(("team-b", str(number)), {"status": {"phase": "Preparing"}})
    began = (datetime.now(UTC) - timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fetching = operator.pod(pod, phase="Pending", init={"running": {"startedAt": began}})
    await operator.look(fetching)
    assert operator.reason == reason


async def test_a_job_without_a_pod_is_asked_why(operator):
    await operator.look()
    job = operator.server.objects[JOB]["metadata"]["uid"]
    event = {"metadata": {"name": "e"}, "involvedObject": {"uid": job}, "message": 'pods "x" is forbidden: no room'}
    operator.server.store("/api/v1/namespaces/team-a/events/e", event)
    await operator.look()
    assert operator.reason == "PodRefused"
    await operator.look(operator.pod(working))
    assert operator.reason == "Running"


# --- Databricks -----------------------------------------------------------------------------------------------------


def on_databricks(operator, **metadata):
    body = operator.server.objects[RUN]
    body["spec"]["backend"] = deepcopy(BACKEND)
    body["metadata"] |= metadata


async def test_a_run_is_held_and_its_token_stored_before_it_is_handed_over(operator):
    on_databricks(operator)
    await operator.look()
    (announced, (_, finalizers, status)) = operator.databricks.asked
    assert announced == ("announce", "run-uid-1")
    assert finalizers == [names.DATABRICKS_FINALIZER]
    assert status == {"token": "run-uid-1", "attempt": 1}
    operator.databricks.ends(Ending.SUCCEEDED)
    await operator.look()
    assert operator.status["phase"] == "Succeeded"
    assert "finalizers" not in operator.server.objects[RUN]["metadata"]
    # The finalizer, the token, the id, the end, and the finalizer again.
    assert [method for method, _ in operator.writes] == ["PATCH"] * 5


async def test_other_finalizers_of_a_run_stay(operator):
    on_databricks(operator, finalizers=["example.org/other"])
    await operator.look()
    assert operator.server.objects[RUN]["metadata"]["finalizers"] == [
        "example.org/other",
        names.DATABRICKS_FINALIZER,
    ]
    operator.databricks.ends(Ending.SUCCEEDED)
    await operator.look()
    assert operator.server.objects[RUN]["metadata"]["finalizers"] == ["example.org/other"]


async def test_an_operator_that_comes_after_takes_up_what_was_handed_over(operator):
    on_databricks(operator)
    await operator.look()
    successor = operator.another()
    await successor.look()
    assert successor.databricks.asked == []
    successor.databricks.ends(Ending.FAILED)
    await successor.look()
    assert successor.reason == "EntryPointFailed"


async def test_a_deleted_run_is_cancelled_there_before_it_goes(operator):
    on_databricks(operator)
    await operator.look()
    body = deepcopy(operator.server.objects[RUN])
    body["metadata"]["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    operator.server.store(RUN, body)
    await operator.look()
    assert operator.databricks.asked[-1] == ("cancel", "501")
    assert "finalizers" not in operator.server.objects[RUN]["metadata"]


async def test_an_id_that_another_operator_has_written_meanwhile_is_taken_up(operator):
    on_databricks(operator)
    await operator.look()
    successor = operator.another()
    # It has looked at the run before that was submitted.
    successor.databricks.known["run-uid-1"] = Remote("run-uid-1")
    await successor.look()
    assert successor.databricks.remote(None, None, "run-uid-1").run_id == "501"


@pytest.mark.parametrize(
    ("deleted", "token", "kept"), [(1, True, True), (3600, True, False), (1, False, False)], ids=["soon", "long", "no"]
)
async def test_a_deleted_run_that_cannot_be_read_is_not_held_for_ever(operator, deleted, token, kept):
    on_databricks(operator)
    await operator.look()
    body = deepcopy(operator.server.objects[RUN])
    body["metadata"]["deletionTimestamp"] = (datetime.now(UTC) - timedelta(seconds=deleted)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    body["spec"]["project"] = {"uri": ["of", "another", "schema"]}
    if not token:
        del body["status"]["databricks"]
    operator.server.store(RUN, body)
    again_after = await operator.look()
    assert (names.DATABRICKS_FINALIZER in operator.server.objects[RUN]["metadata"].get("finalizers", [])) == kept
    assert (again_after is not None) == kept
    assert ("DatabricksRunAbandoned" in await operator.events()) == (token and not kept)
