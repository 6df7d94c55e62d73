"""Runs on Databricks, seen with ``mlp``: their log, what is said of them, and what can be asked of them.

The test plays the operator: what it says of a run, and the ConfigMap with what that wrote.
"""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from mlp.backends.kubernetes import Cluster, KubernetesRun
from mlp.errors import ClusterError
from mlp.resources.names import LOG_KEY
from tests.resources.manifests import IDENTITY, of_databricks

PAGE = "https://dbc.example.org/?o=1#job/1/run/7"
ON_DATABRICKS = {"backend": {"type": "Databricks", "databricks": IDENTITY}}
THERE = {"attempt": 1, "token": "uid-1", "runId": "7", "runPageUrl": PAGE, "state": "RUNNING"}
TEXT = "[environment] built\ntrained \u2028 ü🍷\r10%\n\nno end"


@pytest.fixture
def wine(runs) -> str:
    return runs.create("wine", **ON_DATABRICKS)


@pytest.fixture
def start(runs):
    """Starts `mlp` commands; they end with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        words, variables = runs.command(*arguments)
        processes.append(
            subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def goes_on(runs, *, reason: str = "Running", phase: str = "Running", **there) -> None:
    message = "The run is running on Databricks."
    runs.report("wine", phase=phase, succeeded="Unknown", reason=reason, message=message, databricks={**THERE, **there})


def has_ended(runs, *, text: str | None = TEXT, reason: str = "Succeeded", attempts: int = 1, **there) -> None:
    """Report the end of the run, with what it wrote."""
    succeeded = "True" if reason == "Succeeded" else "False"
    phase = {"True": "Succeeded", "False": "Cancelled" if reason == "Cancelled" else "Failed"}[succeeded]
    if text is not None:
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wine-log"}}
        runs.kubectl("create", "-f", "-", stdin=json.dumps(config_map | {"data": {LOG_KEY: text}}))
        there["logConfigMapName"] = "wine-log"
    runs.report(
        *("wine",),
        phase=phase,
        succeeded=succeeded,
        reason=reason,
        message="Run 7 on Databricks has ended.",
        attempts=attempts,
        databricks={**THERE, "state": "TERMINATED", **there},
    )


# logs


@pytest.mark.usefixtures("wine")
def test_what_a_run_wrote_stands_as_it_is_once_it_has_ended(runs):
    has_ended(runs)

    for options in ([], ["-f"], ["--attempt", "1"], ["--tail", "9"]):
        done = runs.mlp("logs", "wine", *options)
        assert (done.returncode, done.stderr) == (0, ""), options
        assert done.stdout.replace("\n10%", "\r10%") == f"{TEXT}\n", options
    assert runs.mlp("logs", "wine", "--tail", "1").stdout == "no end\n"
    assert runs.mlp("logs", "wine", "--tail", "0").stdout == ""
    assert runs.mlp("logs", "wine", "--step", "all").stdout.splitlines()[-1] == "[main] no end"


@pytest.mark.usefixtures("wine")
def test_before_its_end_it_is_said_where_a_run_can_be_seen(runs):
    goes_on(runs)

    done = runs.mlp("logs", "wine")

    assert (done.returncode, done.stdout) == (1, "")
    assert "'wine' has not ended, and Databricks gives what a run wrote at its end" in done.stderr
    assert "--follow" in done.stderr
    assert f"Its page on Databricks: {PAGE}" in done.stderr


@pytest.mark.usefixtures("wine")
def test_following_waits_for_the_end_and_says_so(runs, start):
    process = start("logs", "-f", "wine")
    assert process.stderr is not None
    assert process.stderr.readline() == "wine: Pending\n"
    goes_on(runs)
    assert process.stderr.readline() == "wine: Running: The run is running on Databricks.\n"
    assert process.stderr.readline() == f"wine: on Databricks, which gives what a run writes at its end: {PAGE}\n"
    has_ended(runs, text="trained\n", reason="EntryPointFailed")

    assert process.communicate(timeout=120) == ("trained\n", "")
    assert process.returncode == 0, "the log could be read; how the run ended is not the question"


@pytest.mark.usefixtures("wine")
def test_waiting_with_logs_ends_as_the_run_does(runs, start):
    process = start("wait", "wine", "--logs")
    assert process.stderr is not None
    assert process.stderr.readline() == "wine: Pending\n"
    goes_on(runs)
    assert process.stderr.readline() == "wine: Running: The run is running on Databricks.\n"
    has_ended(runs, text="trained\n", reason="EntryPointFailed")

    output, said = process.communicate(timeout=120)

    assert (process.returncode, output) == (1, "trained\n")
    assert "Run 'wine' failed. EntryPointFailed: Run 7 on Databricks has ended." in said


@pytest.mark.usefixtures("wine")
def test_what_cannot_be_told_apart_in_such_a_log_is_refused_by_name(runs):
    has_ended(runs, attempts=2)

    for options, status, said in (
        (["--step", "main"], 2, "--step is for runs in pods"),
        (["-c", "main"], 2, "--container is for runs in pods"),
        (["--since", "1h"], 2, "--since is for runs in pods"),
        (["--timestamps"], 2, "--timestamps is for runs in pods"),
        (["--previous"], 1, "There are no logs of attempt 1 of 'wine'"),
        (["--attempt", "3"], 1, "is kept of its last attempt, which is 2"),
    ):
        done = runs.mlp("logs", "wine", *options)
        assert (done.returncode, done.stdout) == (status, ""), options
        assert said in done.stderr


@pytest.mark.usefixtures("wine")
def test_a_log_that_nobody_has_kept_is_said_to_be_missing_with_the_page(runs):
    has_ended(runs, text=None, reason="RunSkipped")
    done = runs.mlp("logs", "wine")
    assert done.returncode == 1
    assert "Nothing is kept of what 'wine' wrote. RunSkipped: Run 7 on Databricks has ended." in done.stderr
    assert PAGE in done.stderr

    has_ended(runs)
    runs.kubectl("delete", "configmap", "wine-log")
    done = runs.mlp("logs", "wine")
    assert done.returncode == 1
    assert "The ConfigMap 'wine-log' is gone" in done.stderr


# what is said of them


@pytest.mark.usefixtures("wine")
def test_a_run_is_told_with_all_that_is_known_of_it_on_databricks(runs):
    goes_on(runs, attempt=2, statusCheckFailureTime=datetime.now(UTC) - timedelta(minutes=5))

    text = runs.mlp("describe", "wine").stdout

    section = text.partition("\nDatabricks:\n")[2].partition("\n\n")[0]
    told = dict(line.strip().split(maxsplit=1) for line in section.splitlines())
    assert told.pop("Unreadable:").startswith("for 5m")
    assert told == {
        "Workspace:": "https://dbc.example.org",
        "Compute:": "serverless, environment version 4",
        "Run:": "7",
        "State:": "RUNNING",
        "Page:": PAGE,
        "Submission:": "2",
    }
    assert f"mlp logs -f wine -n {runs.namespace}" in text
    assert f"Page:         {PAGE}\n" in runs.mlp("get", "wine").stdout

    has_ended(runs, reason="Cancelled", cancelReason="Cancelled")
    text = runs.mlp("describe", "wine").stdout
    assert "  Ended for:    Cancelled\n  Log:          ConfigMap wine-log\n" in text
    assert f"mlp logs wine -n {runs.namespace}" in text


@pytest.mark.usefixtures("wine")
def test_lists_have_the_backend_and_the_run_there(runs):
    goes_on(runs)

    assert runs.mlp("list").stdout.splitlines()[1].split()[:5] == ["wine", "Running", "Running", "main", "Databricks"]
    lines = [line.split() for line in runs.mlp("list", "-o", "wide").stdout.splitlines()]
    by_kubectl = [line.split() for line in runs.kubectl("get", "prun", "-o", "wide").splitlines()]
    assert lines[0] == by_kubectl[0]
    assert lines[1][lines[0].index("DATABRICKS")] == "7"
    assert "7" in by_kubectl[1]


@pytest.mark.parametrize(
    ("compute", "told"),
    [
        ({"serverless": {}}, "serverless"),
        ({"cluster": {"existingClusterId": "1-2-abc"}}, "cluster 1-2-abc"),
        ({"cluster": {"newCluster": {"num_workers": 1}}}, "a cluster of its own"),
    ],
)
def test_what_a_run_gets_to_run_on_is_told(runs, compute, told):
    runs.create("wine", backend=of_databricks(**compute)["spec"]["backend"])

    text = runs.mlp("describe", "wine").stdout

    assert f"Workspace:    as its Secret says\n  Compute:      {told}\n" in text


# what can be asked of them


@pytest.mark.usefixtures("wine")
def test_a_run_is_cancelled_by_its_spec_and_waited_for(runs, start):
    goes_on(runs)
    process = start("cancel", "wine", "--wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "projectrun.mlp.dev/wine is being cancelled\n"
    assert runs.read("wine")["spec"]["shutdown"] == "Stop"
    goes_on(runs, reason="Ending", cancelReason="Cancelled")
    has_ended(runs, text=None, reason="Cancelled", cancelReason="Cancelled")

    assert process.communicate(timeout=120) == ("projectrun.mlp.dev/wine has ended (Cancelled)\n", "")
    assert runs.mlp("wait", "wine").returncode == 3


@pytest.mark.usefixtures("wine")
def test_a_run_is_held_and_let_go_by_its_spec(runs):
    goes_on(runs)

    assert runs.mlp("suspend", "wine").stdout == "projectrun.mlp.dev/wine suspended\n"
    assert runs.read("wine")["spec"]["suspend"] is True
    assert runs.mlp("resume", "wine").stdout == "projectrun.mlp.dev/wine resumed\n"
    assert runs.read("wine")["spec"]["suspend"] is False


@pytest.mark.usefixtures("wine")
def test_a_run_once_more_is_another_run_on_databricks(runs):
    has_ended(runs)

    done = runs.mlp("retry", "wine", "--name", "again")

    assert done.returncode == 0, done.stderr
    again = runs.read("again")
    assert again["spec"]["backend"] == runs.read("wine")["spec"]["backend"]
    assert "databricks" not in again["status"]


@pytest.mark.usefixtures("wine")
def test_a_run_is_deleted_when_the_operator_lets_it_go(runs, start):
    runs.kubectl("patch", "prun", "wine", "--type=merge", "-p", '{"metadata":{"finalizers":["mlp.dev/databricks"]}}')
    process = start("delete", "wine", "--wait")
    assert process.stdout is not None
    assert process.stdout.readline() == 'projectrun.mlp.dev "wine" deleted\n'
    assert process.poll() is None, "its run on Databricks is to be cancelled first"
    runs.kubectl("patch", "prun", "wine", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')

    assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 0


# as a program sees them


@pytest.mark.usefixtures("wine")
def test_a_program_has_mlflows_words_for_it(runs):
    run = KubernetesRun(
        Cluster.connect(kubeconfig=str(runs.cluster.kubeconfig), context=None, namespace=runs.namespace), "wine"
    )
    started = {"type": "Initialized", "status": "True", "reason": "Initialized", "message": ""}
    assert run.get_status() == "SCHEDULED"
    goes_on(runs, reason="WaitingForCompute", phase="Preparing")
    assert run.get_status() == "SCHEDULED"
    goes_on(runs, reason="WorkspaceUnavailable", phase="Preparing")
    assert run.get_status() == "SCHEDULED"
    goes_on(runs)
    assert run.get_status() == "RUNNING"
    with pytest.raises(ClusterError, match="Databricks gives what a run wrote at its end"):
        list(run.logs())
    for reason in ("WorkspaceUnavailable", "Ending"):
        goes_on(runs, reason=reason)
        conditions = [*runs.read("wine")["status"]["conditions"]]
        conditions.append({**started, "lastTransitionTime": conditions[0]["lastTransitionTime"]})
        patch = json.dumps({"status": {"conditions": conditions}})
        runs.kubectl("patch", "prun", "wine", "--subresource=status", "--type=merge", "-p", patch)
        assert run.get_status() == "RUNNING"
    has_ended(runs)
    assert run.get_status() == "FINISHED"
    assert list(run.logs(tail=1)) == ["no end"]
    run.cluster.close()
