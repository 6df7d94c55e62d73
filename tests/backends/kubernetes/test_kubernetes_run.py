"""The Python API of runs in a cluster. The test plays the operator."""

from __future__ import annotations

import json
import threading
import time

import pytest

from mlp.backends.cargo import CONFIG_MAP_LIMIT
from mlp.backends.kubernetes import Cluster, KubernetesRun, raise_for_outcome, send, submit
from mlp.backends.sending import Luggage, Submission
from mlp.backends.submission import Request
from mlp.errors import ClusterError, ClusterUnreachable, RunCancelled, RunError, RunNotFound, UsageError, WaitTimedOut
from tests.cli.program import project
from tests.resources.manifests import URI
from tests.source.repositories import noise


@pytest.fixture
def cluster_of_user(runs):
    with Cluster.connect(kubeconfig=str(runs.cluster.kubeconfig), namespace=runs.namespace) as connection:
        yield connection


@pytest.fixture
def run(runs, cluster_of_user):
    return KubernetesRun(cluster_of_user, runs.create("wine"))


def test_a_submitted_run_is_known_by_its_name_and_has_what_was_asked(runs, cluster_of_user):
    run = submit(URI, "train.py", "v1", {"alpha": 0.5}, cluster=cluster_of_user, memory="1Gi")

    spec = runs.read(run.name)["spec"]
    assert (spec["project"]["entryPoint"], spec["project"]["version"]) == ("train.py", "v1")
    assert spec["parameters"] == [{"name": "alpha", "value": "0.5"}]
    assert spec["backend"]["kubernetes"]["resources"]["limits"] == {"memory": "1Gi"}


@pytest.mark.parametrize(
    ("phase", "succeeded", "reason", "word"),
    [
        ("Pending", "Unknown", "Resolving", "SCHEDULED"),
        ("Preparing", "Unknown", "Fetching", "SCHEDULED"),
        ("Running", "Unknown", "Running", "RUNNING"),
        ("Succeeded", "True", "Succeeded", "FINISHED"),
        ("Failed", "False", "OOMKilled", "FAILED"),
        ("Cancelled", "False", "Cancelled", "KILLED"),
    ],
)
def test_a_status_is_told_in_mlflows_words(runs, run, phase, succeeded, reason, word):
    runs.report("wine", phase=phase, succeeded=succeeded, reason=reason)

    assert run.get_status() == word


def test_a_run_that_nobody_has_seen_is_scheduled(run):
    assert run.get_status() == "SCHEDULED"


@pytest.mark.parametrize(("succeeded", "reason"), [("True", "Succeeded"), ("False", "OOMKilled")])
def test_waiting_ends_when_the_run_does(runs, run, succeeded, reason):
    report = threading.Timer(0.5, runs.report, ("wine",), {"phase": "x", "succeeded": succeeded, "reason": reason})
    report.start()

    assert run.wait(timeout=30) is (succeeded == "True")
    report.join()


def test_waiting_hears_of_the_end_at_once(runs, run):
    ended: list[float] = []

    def end() -> None:
        runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded")
        ended.append(time.monotonic())

    reporter = threading.Timer(1, end)
    reporter.start()
    run.wait(timeout=30)
    heard = time.monotonic()
    reporter.join()

    assert heard - ended[0] < 2, "a watch tells at once, the look at every 15 s would be later"


def test_waiting_gives_up_when_its_time_is_over(run):
    with pytest.raises(WaitTimedOut, match="has not ended in 1 s"):
        run.wait(timeout=1)


def test_waiting_for_a_run_that_is_deleted_ends(runs, run):
    deletion = threading.Timer(0.5, runs.kubectl, ("delete", "projectrun", "wine"))
    deletion.start()

    with pytest.raises(RunNotFound):
        run.wait(timeout=30)
    deletion.join()


def test_cancelling_asks_for_a_shutdown_and_waits_for_the_end(runs, run):
    def obey() -> None:
        while runs.read("wine")["spec"].get("shutdown") != "Stop":
            time.sleep(0.2)
        runs.report("wine", phase="Cancelled", succeeded="False", reason="Cancelled")

    operator = threading.Thread(target=obey)
    operator.start()
    run.cancel()
    operator.join()

    assert run.get_status() == "KILLED"


def test_cancelling_a_run_that_has_ended_does_nothing(runs, run):
    runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded")

    run.cancel()

    assert "shutdown" not in runs.read("wine")["spec"]


@pytest.mark.parametrize(
    ("succeeded", "reason", "error"),
    [("False", "Cancelled", RunCancelled), ("False", "OOMKilled", RunError)],
)
def test_an_outcome_that_is_not_success_is_an_error(runs, run, succeeded, reason, error):
    runs.report("wine", phase="x", succeeded=succeeded, reason=reason, message="That was it.")

    with pytest.raises(error, match=f"{reason}: That was it."):
        raise_for_outcome(run.get())


def test_success_and_a_run_under_way_are_no_errors(runs, run):
    raise_for_outcome(run.get())
    runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded")
    raise_for_outcome(run.get())


@pytest.mark.usefixtures("run")
def test_a_change_that_the_server_refuses_names_the_field_and_the_way_out(cluster_of_user):
    with pytest.raises(UsageError) as caught:
        cluster_of_user.update_spec("wine", {"backoffLimit": 3})

    assert "spec.backoffLimit" in str(caught.value)
    assert "create a new ProjectRun" in str(caught.value)


@pytest.mark.usefixtures("run")
def test_two_runs_of_one_name_are_an_error(cluster_of_user):
    with pytest.raises(ClusterError, match="There is a ProjectRun 'wine' already"):
        submit(URI, name="wine", cluster=cluster_of_user)


def test_a_cluster_that_never_answers_is_an_error_at_once(tmp_path):
    (tmp_path / "config").write_text(
        "{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}],"
        " users: [{name: u, user: {}}], contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )
    with Cluster.connect(kubeconfig=str(tmp_path / "config")) as nowhere:
        before = time.monotonic()
        with pytest.raises(ClusterUnreachable):
            KubernetesRun(nowhere, "wine").wait(timeout=30)
    assert time.monotonic() - before < 10


# Runs that bring something along


@pytest.fixture
def wine(tmp_path):
    return project(tmp_path / "wine", "echo done")


def test_a_directory_goes_to_the_cluster_with_its_run_and_belongs_to_it(runs, cluster_of_user, wine):
    (wine.parent / "mine.csv").write_text("1")

    run = submit(str(wine), files={"data": wine.parent / "mine.csv"}, cluster=cluster_of_user)

    stored = runs.read(run.name)
    found = json.loads(runs.kubectl("get", "configmaps", "-l", f"mlp.dev/projectrun={run.name}", "-o", "json"))["items"]
    assert len(found) == 2
    assert stored["spec"]["project"]["bundle"]["configMapName"] in {item["metadata"]["name"] for item in found}
    for item in found:
        (owner,) = item["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["kind"]) == (stored["metadata"]["uid"], "ProjectRun")
        assert (owner["controller"], owner["blockOwnerDeletion"]) == (False, False)


def test_a_run_whose_luggage_is_refused_is_deleted_again(runs, cluster_of_user, wine):
    sent = Luggage(Request(uri=str(wine))).new(name="wine")
    (config_map,) = sent.config_maps
    broken = {**config_map, "metadata": {**config_map["metadata"], "name": "No_Name"}}

    with pytest.raises(ClusterError, match=r"(?s)'wine' was to bring along.*No_Name.*The run was deleted again"):
        send(cluster_of_user, Submission(sent.run, (broken,)))

    assert runs.names() == []


def test_a_dry_run_checks_the_luggage_too_and_keeps_nothing(runs, cluster_of_user, wine):
    send(cluster_of_user, Luggage(Request(uri=str(wine))).new(name="wine"), dry_run=True)

    assert runs.names() == []
    assert "mlp.dev/projectrun" not in runs.kubectl("get", "configmaps", "-o", "yaml")


def test_the_largest_luggage_that_is_not_refused_is_taken_by_the_cluster(runs, cluster_of_user, wine):
    (wine / "weights.bin").write_bytes(noise(CONFIG_MAP_LIMIT - 5_000, 1))
    (wine.parent / "mine.bin").write_bytes(noise(CONFIG_MAP_LIMIT, 2))

    run = submit(str(wine), files={"data": wine.parent / "mine.bin"}, cluster=cluster_of_user)

    assert runs.names() == [run.name]


def test_a_name_of_luggage_that_is_taken_is_no_runs_name(runs, cluster_of_user, wine):
    sent = Luggage(Request(uri=str(wine))).new(name="wine")
    (config_map,) = sent.config_maps
    runs.kubectl("create", "configmap", config_map["metadata"]["name"])

    with pytest.raises(ClusterError, match=f'"{config_map["metadata"]["name"]}" already exists'):
        send(cluster_of_user, sent)

    assert runs.names() == []
