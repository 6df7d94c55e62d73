"""``mlp logs`` and ``--logs``: what pods wrote. The test plays the operator, the pods are real."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cli.program import MLP, environment
from tests.images import RUNNER
from tests.resources.manifests import project_run
from tests.servers.cutting_proxy import cutting_proxy

SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


CLONE = "echo '=== Step clone ==='; echo cloned"
CLONED = "[clone] === Step clone ===\n[clone] cloned\n"
BESIDE = "echo '[data] === Step data ==='; echo '[environment] === Step environment ==='; echo '[data] half'"

pytestmark = pytest.mark.usefixtures("images")


def container(name: str, script: str) -> dict[str, Any]:
    command = ["bash", "-c", script]
    return {"name": name, "image": RUNNER.name, "command": command, "securityContext": SECURITY}


def start_pod(runs, name: str, *, run: str, prepare: str = CLONE, main: str) -> None:
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "initContainers": [container("prepare", prepare)],
        "containers": [container("main", main)],
    }
    metadata = {"name": name, "labels": {"mlp.dev/projectrun": run}}
    text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    runs.kubectl("create", "-f", "-", stdin=text)


def wait_for(runs, pod: str, phase: str) -> None:
    runs.kubectl("wait", f"--for=jsonpath={{.status.phase}}={phase}", f"pod/{pod}", "--timeout=90s")


@pytest.fixture
def follow(runs):
    """Starts `mlp` commands that follow a run; they end with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, kubeconfig: str | None = None) -> subprocess.Popen[str]:
        path = kubeconfig or str(runs.cluster.kubeconfig)
        processes.append(
            subprocess.Popen(
                [MLP, *arguments, "-n", runs.namespace],
                env=environment(KUBECONFIG=path),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def succeed(runs, name: str) -> None:
    runs.report(name, phase="Succeeded", succeeded="True", reason="Succeeded")


def test_mains_lines_stand_as_they_are_and_the_preparations_are_marked(runs):
    runs.create("wine")
    start_pod(runs, "wine-1", run="wine", main="printf 'a  b\\n\\n  ü🍷\\tc\\nno end'")
    wait_for(runs, "wine-1", "Succeeded")

    done = runs.mlp("logs", "wine")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{CLONED}a  b\n\n  ü🍷\tc\nno end\n"


def test_what_is_wanted_of_a_log_can_be_chosen(runs):
    runs.create("wine")
    start_pod(runs, "wine-1", run="wine", prepare=f"{CLONE}; {BESIDE}", main="echo one; echo two; echo three")
    wait_for(runs, "wine-1", "Succeeded")

    def logs(*options: str) -> str:
        done = runs.mlp("logs", "wine", *options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert logs("--step", "main") == logs("-c", "main") == "one\ntwo\nthree\n"
    assert logs("--step", "data") == "=== Step data ===\nhalf\n"
    assert logs("--step", "environment", "-f", "--attempt", "1") == "=== Step environment ===\n"
    assert logs("-c", "prepare").splitlines()[-1] == "half"
    assert logs("--step", "all").splitlines()[1::3] == ["[clone] cloned", "[data] half", "[main] three"]
    assert logs("--tail", "1") == "[clone] cloned\n[environment] === Step environment ===\n[data] half\nthree\n"
    assert logs("--step", "main", "--tail", "2") == "two\nthree\n"
    assert logs("--step", "main", "--tail", "0") == ""
    assert logs("--since", "1h") == logs()
    moment, text = logs("--step", "main", "--timestamps").splitlines()[0].split(" ")
    assert text == "one"
    assert abs(datetime.now(UTC) - datetime.fromisoformat(moment)) < timedelta(hours=1)

    for options, said in (
        (["-c", "sidecar"], "no container 'sidecar'. Its containers are: prepare, main."),
        (["--step", "main", "-c", "main"], "A step and a container exclude each other"),
    ):
        done = runs.mlp("logs", "wine", *options)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_failed_preparation_is_all_there_is(runs):
    runs.create("wine")
    start_pod(runs, "wine-1", run="wine", prepare="echo no such branch; exit 66", main="echo never")
    wait_for(runs, "wine-1", "Failed")
    runs.report("wine", phase="Failed", succeeded="False", reason="SourceNotFound")

    for options in ([], ["-f"]):
        assert runs.mlp("logs", "wine", *options).stdout == "[clone] no such branch\n"
    for options in (["-s", "main"], ["-s", "main", "-f"]):
        done = runs.mlp("logs", "wine", *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert "'main' of 'wine' never started. SourceNotFound:" in done.stderr


def test_a_run_without_a_pod_says_why(runs):
    runs.create("wine")
    assert "'wine' has no pod yet; follow it with --follow." in runs.mlp("logs", "wine").stderr

    runs.report("wine", phase="Failed", succeeded="False", reason="EntryPointNotFound", message="No 'mian'.")
    for options in ([], ["-f"]):
        done = runs.mlp("logs", "wine", *options)
        assert done.returncode == 1
        assert "'wine' never had a pod. EntryPointNotFound: No 'mian'." in done.stderr


def test_logs_that_went_with_their_pod_are_said_to_be_gone(runs):
    runs.create("wine")
    runs.report(
        *("wine",),
        phase="Failed",
        succeeded="False",
        reason="EntryPointFailed",
        message="Exit status 3. The end of its log:\nout of luck",
        kubernetes={"podName": "wine-1"},
        mlflow={"runId": "abc", "experimentId": "7", "uri": "http://mlflow:5000"},
    )

    done = runs.mlp("logs", "wine")

    assert done.returncode == 1
    assert "No pod of 'wine' is left, and its logs went with it." in done.stderr
    assert "EntryPointFailed: Exit status 3. The end of its log:\nout of luck" in done.stderr
    assert "http://mlflow:5000/#/experiments/7/runs/abc" in done.stderr


def test_following_begins_before_there_is_a_pod_and_ends_with_the_run(runs, follow):
    runs.create("wine")
    process = follow("logs", "-f", "wine")
    assert process.stderr is not None
    assert process.stderr.readline() == "wine: Pending\n"
    runs.report("wine", phase="Preparing", succeeded="Unknown", reason="Unschedulable", message="No room.")
    assert process.stderr.readline() == "wine: Preparing (Unschedulable): No room.\n"
    start_pod(runs, "wine-1", run="wine", main="for i in 1 2 3; do echo $i; sleep 1; done")

    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    assert "".join(lines) == f"{CLONED}1\n2\n3\n"
    wait_for(runs, "wine-1", "Succeeded")
    assert process.poll() is None, "the run has not ended, only its pod"
    succeed(runs, "wine")

    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_following_goes_on_with_the_next_attempt(runs, follow):
    runs.create("wine")
    start_pod(runs, "wine-1", run="wine", prepare="true", main="echo first; exit 1")
    wait_for(runs, "wine-1", "Failed")
    process = follow("logs", "-f", "wine")
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    start_pod(runs, "wine-2", run="wine", prepare="true", main="echo second")
    wait_for(runs, "wine-2", "Succeeded")
    succeed(runs, "wine")

    output, said = process.communicate(timeout=60)
    assert output == "second\n"
    assert said.splitlines()[-1] == "wine: another attempt, in pod wine-2"
    assert runs.mlp("logs", "wine").stdout == "second\n"
    assert runs.mlp("logs", "wine", "--previous").stdout == "first\n"
    assert runs.mlp("logs", "wine", "--attempt", "1", "-f").stdout == "first\n"
    assert "there are the pods of the attempts 1 to 2" in runs.mlp("logs", "wine", "--attempt", "3").stderr


def test_following_survives_cut_connections_without_losing_or_repeating_a_line(runs, follow, tmp_path):
    config = yaml.safe_load(runs.cluster.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    runs.create("wine")
    start_pod(runs, "wine-1", run="wine", prepare="true", main="for i in {1..40}; do echo $i; sleep 0.2; done")

    with cutting_proxy(server.hostname, server.port, after=3.0) as (port, cuts):
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        process = follow("logs", "-f", "wine", kubeconfig=str(tmp_path / "config"))
        wait_for(runs, "wine-1", "Succeeded")
        succeed(runs, "wine")
        output, said = process.communicate(timeout=60)

    assert len(cuts) > 1
    assert set(said.splitlines()) <= {"wine: Pending"}  # why there was nothing to be read yet
    assert output.split() == [str(number) for number in range(1, 41)]


def test_following_goes_on_from_the_last_lines_over_a_suspension(runs, follow):
    """The operator deletes a suspended run's pod; another begins when it is resumed."""
    runs.create("wine")
    start_pod(runs, "wine-1", run="wine", prepare="true", main="seq 5; sleep 600")
    process = follow("logs", "-f", "wine", "--tail", "2")
    assert process.stdout is not None
    wait_for(runs, "wine-1", "Running")
    first = [process.stdout.readline() for _ in range(2)]
    runs.kubectl("delete", "pod", "wine-1")
    runs.report("wine", phase="Suspended", succeeded="Unknown", reason="Suspended", message="By its user.")
    start_pod(runs, "wine-2", run="wine", prepare="true", main="seq 6 8")
    wait_for(runs, "wine-2", "Succeeded")
    succeed(runs, "wine")

    rest = process.stdout.read()

    # Main may have begun to write before or after the command looked.
    assert (first, rest) == (["4\n", "5\n"], "6\n7\n8\n") or "".join([*first, rest]) == "1\n2\n3\n4\n5\n6\n7\n8\n"
    assert process.wait(timeout=60) == 0


def test_waiting_survives_cut_connections(runs, follow, tmp_path):
    config = yaml.safe_load(runs.cluster.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    runs.create("wine")

    with cutting_proxy(server.hostname, server.port, after=3.0) as (port, cuts):
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        process = follow("wait", "wine", kubeconfig=str(tmp_path / "config"))
        assert process.stderr is not None
        assert process.stderr.readline() == "wine: Pending\n"
        while len(cuts) < 2:
            time.sleep(0.1)
            assert process.poll() is None
        succeed(runs, "wine")
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, "wine: Succeeded\n")


def test_submitting_with_logs_prints_the_runs_output_and_ends_with_its_result(runs, follow, tmp_path):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(project_run(name="wine", managedBy="mlp.dev/test")))
    process = follow("submit", "-f", str(tmp_path / "run.yaml"), "--logs")
    assert process.stderr is not None
    assert process.stderr.readline() == "projectrun.mlp.dev/wine created\n"
    start_pod(runs, "wine-1", run="wine", main="echo trained; exit 3")
    wait_for(runs, "wine-1", "Failed")
    runs.report("wine", phase="Failed", succeeded="False", reason="EntryPointFailed", message="Exit status 3.")

    output, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert output == f"{CLONED}trained\n"
    assert "EntryPointFailed: Exit status 3." in said
