"""``mlp list``, ``get``, ``wait`` and ``delete``: runs that are there already. The test plays the operator."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime

import pytest
import yaml

from tests.cli.program import mlp

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# list


def test_runs_are_listed_newest_first_with_the_columns_of_kubectl(runs):
    runs.create("old")
    time.sleep(1.1)  # creation times have whole seconds
    runs.create("new")
    runs.report("old", phase="Failed", succeeded="False", reason="OOMKilled")

    header, first, second = words(runs.mlp("list").stdout)

    assert header == words(runs.kubectl("get", "projectruns"))[0]
    assert first[:5] == ["new", "Pending", "<none>", "main", "Kubernetes"]
    assert second[:5] == ["old", "Failed", "OOMKilled", "main", "Kubernetes"]


def test_a_wide_list_has_kubectls_wide_columns(runs):
    runs.create("wine")
    runs.report(
        *("wine",),
        phase="Running",
        succeeded="Unknown",
        reason="Running",
        attempts=1,
        start_time=datetime.now(UTC),
        source={"commit": COMMIT},
        project={"name": "Wine", "entryPoint": "main", "command": "true"},
        kubernetes={"jobName": "wine"},
    )

    header, row = words(runs.mlp("list", "-o", "wide").stdout)

    assert header == words(runs.kubectl("get", "projectruns", "-o", "wide"))[0]
    assert row[6:10] == ["Wine", COMMIT[:12], "1", "wine"]


def test_runs_are_chosen_by_their_labels(runs):
    runs.create("one", labels={"team": "a"})
    runs.create("two", labels={"team": "b"})

    assert runs.mlp("list", "-l", "team=b", "-o", "name").stdout == "projectrun.mlp.dev/two\n"


def test_runs_of_all_namespaces_are_listed_with_theirs(runs):
    runs.create("wine")

    done = mlp("list", "-A", KUBECONFIG=str(runs.cluster.kubeconfig))

    assert words(done.stdout)[0][:2] == ["NAMESPACE", "NAME"]
    assert [runs.namespace, "wine"] in [line[:2] for line in words(done.stdout)]


@pytest.mark.parametrize(("output", "read"), [("yaml", yaml.safe_load), ("json", json.loads)])
def test_a_list_for_programs_is_a_list_even_of_one(runs, output, read):
    runs.create("wine")

    printed = read(runs.mlp("list", "-o", output).stdout)

    assert (printed["kind"], [item["metadata"]["name"] for item in printed["items"]]) == ("List", ["wine"])
    assert printed["items"][0]["kind"] == "ProjectRun"
    assert runs.kubectl("create", "--dry-run=client", "-f", "-", stdin=json.dumps(printed))


def test_a_list_of_nothing_says_so_aside(runs):
    done = runs.mlp("list")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"No runs in namespace {runs.namespace}.\n"
    assert json.loads(runs.mlp("list", "-o", "json").stdout)["items"] == []


def test_more_runs_than_fit_a_page_are_all_listed(runs):
    manifests = []
    for number in range(505):
        manifest = {"apiVersion": "mlp.dev/v1alpha1", "kind": "ProjectRun", "metadata": {"name": f"run-{number}"}}
        manifests.append({**manifest, "spec": {"project": {"uri": "https://h/x"}, "managedBy": "mlp.dev/test"}})
    runs.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    assert len(runs.mlp("list", "-o", "name").stdout.splitlines()) == 505


# get


def test_a_run_is_shown_with_what_it_is_and_why_it_is_not_further(runs):
    runs.create("wine", parameters=[{"name": "alpha", "value": "0.5"}])
    runs.report(
        *("wine",),
        phase="Failed",
        succeeded="False",
        reason="EntryPointFailed",
        message="The command ended with 3.\nTraceback",
        start_time="2026-01-02T12:00:00Z",
        completion_time="2026-01-02T12:03:20Z",
        source={"commit": COMMIT},
        project={
            "name": "Wine",
            "entryPoint": "main",
            "command": "python train.py 0.5",
            "parameters": [
                {"name": "alpha", "value": "0.5", "source": "Spec"},
                {"name": "token", "source": "Spec"},
            ],
        },
        kubernetes={"jobName": "wine", "podName": "wine-abc", "exitCode": 3},
        steps=[{"name": "clone", "state": "Succeeded"}, {"name": "main", "state": "Failed", "reason": "Error"}],
    )

    shown = runs.mlp("get", "wine").stdout

    for line in (
        "Phase:        Failed",
        "Reason:       EntryPointFailed",
        "Message:      The command ended with 3.\n              Traceback",
        f"Commit:       {COMMIT}",
        "Command:      python train.py 0.5",
        "Exit code:    3",
        "Duration:     3m20s",
        "  alpha = '0.5' (Spec)",
        "  token = (from a Secret) (Spec)",
        "  clone       Succeeded",
        "  main        Failed (Error)",
    ):
        assert f"{line}\n" in shown


def test_a_run_that_no_operator_has_seen_is_shown_as_that(runs):
    runs.create("wine", parameters=[{"name": "alpha", "value": "0.5"}])

    shown = runs.mlp("get", "wine").stdout

    assert "no operator has looked at it yet" in shown
    assert "  alpha = '0.5'\n" in shown


def test_a_run_of_a_directory_is_shown_without_a_version(runs):
    runs.create("wine", project={"bundle": {"configMapName": "wine-project", "sha256": "0" * 64}})

    shown = runs.mlp("get", "wine").stdout

    assert "Project:      a bundle\n" in shown
    assert "Version" not in shown


def test_a_run_is_printed_for_programs(runs):
    runs.create("wine")

    assert yaml.safe_load(runs.mlp("get", "wine", "-o", "yaml").stdout)["metadata"]["name"] == "wine"
    assert json.loads(runs.mlp("get", "wine", "-o", "json").stdout)["kind"] == "ProjectRun"
    assert runs.mlp("get", "wine", "-o", "name").stdout == "projectrun.mlp.dev/wine\n"
    assert len(runs.mlp("get", "wine", "-o", "wide").stdout.splitlines()) == 2


@pytest.mark.parametrize("command", ["get", "wait", "logs", "delete"])
def test_a_run_that_is_not_there_is_an_error(runs, command):
    done = runs.mlp(command, "nothing")

    assert done.returncode == 1
    assert "There is no ProjectRun 'nothing' in this namespace" in done.stderr


# wait


@pytest.mark.parametrize(
    ("phase", "succeeded", "reason", "status"),
    [
        ("Succeeded", "True", "Succeeded", 0),
        ("Failed", "False", "OOMKilled", 1),
        ("Cancelled", "False", "Cancelled", 3),
    ],
)
def test_waiting_for_a_run_that_has_ended_gives_its_result_at_once(runs, phase, succeeded, reason, status):
    runs.create("wine")
    runs.report("wine", phase=phase, succeeded=succeeded, reason=reason, message="That was it.")

    done = runs.mlp("wait", "wine")

    assert (done.returncode, done.stdout) == (status, "")
    assert f"wine: {phase}" in done.stderr
    assert (f"{reason}: That was it." in done.stderr) == bool(status)


def test_waiting_tells_how_the_run_goes_and_ends_with_it(runs):
    runs.create("wine")
    command, environment = runs.command("wait", "wine", "--timeout", "1m")
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "wine: Pending\n"
        runs.report("wine", phase="Preparing", succeeded="Unknown", reason="Fetching", message="Cloning.")
        assert process.stderr.readline() == "wine: Preparing (Fetching): Cloning.\n"
        runs.report("wine", phase="Running", succeeded="Unknown", reason="Running")
        assert process.stderr.readline() == "wine: Running\n"
        runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded")
        assert process.stderr.read() == "wine: Succeeded\n"
        process.wait(timeout=30)
    assert process.returncode == 0


def test_waiting_in_vain_ends_with_a_word_on_the_operator(runs):
    runs.create("wine")

    done = runs.mlp("wait", "wine", "--timeout", "17s")

    assert done.returncode == 3
    assert "No operator has looked at 'wine' yet" in done.stderr
    assert "has not ended in 17 s. It goes on." in done.stderr


# delete


def test_deleted_runs_are_gone(runs):
    for name in ("one", "two", "three"):
        runs.create(name)

    done = runs.mlp("delete", "one", "two")

    assert done.stdout == 'projectrun.mlp.dev "one" deleted\nprojectrun.mlp.dev "two" deleted\n'
    assert runs.names() == ["three"]


def test_one_run_that_is_not_there_does_not_save_the_others(runs):
    runs.create("one")

    done = runs.mlp("delete", "nothing", "one")

    assert done.returncode == 1
    assert done.stdout == 'projectrun.mlp.dev "one" deleted\n'
    assert "1 of 2 could not be deleted" in done.stderr
    assert runs.names() == []


def test_waiting_for_a_deletion_waits_for_what_the_run_owned(runs):
    runs.create("wine")
    uid = runs.read("wine")["metadata"]["uid"]
    owner = {"apiVersion": "mlp.dev/v1alpha1", "kind": "ProjectRun", "name": "wine", "uid": uid}
    metadata = {"name": "owned", "ownerReferences": [{**owner, "blockOwnerDeletion": True}]}
    runs.kubectl(
        *("create", "-f", "-"),
        stdin=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}),
    )

    done = runs.mlp("delete", "wine", "--wait", "--timeout", "30s")

    assert done.returncode == 0, done.stderr
    assert runs.names() == []
    assert "owned" not in runs.kubectl("get", "configmaps", "-o", "name")


def test_waiting_for_a_deletion_has_an_end(runs):
    runs.create("wine")
    runs.kubectl("patch", "projectrun", "wine", "--type=merge", "-p", '{"metadata":{"finalizers":["mlp.dev/test"]}}')

    done = runs.mlp("delete", "wine", "--wait", "--timeout", "1s")
    runs.kubectl("patch", "projectrun", "wine", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')

    assert done.returncode == 3
    assert "is being deleted, and is not gone after 1 s" in done.stderr
