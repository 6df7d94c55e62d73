"""`mlp run -b kubernetes`: submit, follow, wait, end as the command has ended. The test plays the operator."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

from tests.cli.program import MLP, environment, project
from tests.projectruns import MANAGED_BY_THE_TEST
from tests.resources.manifests import URI

PATIENCE = 60


@pytest.fixture
def start(runs, tmp_path):
    """Starts `mlp run -b kubernetes` for a run called wine, and comes back when that is there."""
    config = {"namespace": runs.namespace, "name": "wine", "spec": {"managedBy": MANAGED_BY_THE_TEST}}
    (tmp_path / "backend.json").write_text(json.dumps(config))
    processes = []

    def call(*arguments, **variables):
        process = subprocess.Popen(
            [MLP, "run", *map(str, arguments), "-b", "kubernetes", "-c", str(tmp_path / "backend.json")],
            env=environment(KUBECONFIG=str(runs.cluster.kubeconfig), **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        deadline = time.monotonic() + PATIENCE
        while "wine" not in runs.names():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return process

    yield call
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def running(runs, process):
    """Report that the run runs, and wait until that has been told."""
    runs.report("wine", phase="Running", succeeded="Unknown", reason="Running")
    while "Running" not in (line := process.stderr.readline()):
        assert line, process.communicate()


@pytest.mark.parametrize(
    ("phase", "succeeded", "reason", "more", "status"),
    [
        ("Succeeded", "True", "Succeeded", {}, 0),
        ("Failed", "False", "EntryPointFailed", {"kubernetes": {"exitCode": 42}}, 42),
        ("Failed", "False", "OOMKilled", {"kubernetes": {"exitCode": 137}}, 1),
        ("Cancelled", "False", "Cancelled", {}, 3),
    ],
)
def test_it_ends_with_the_commands_own_status(runs, start, phase, succeeded, reason, more, status):
    process = start(URI)
    running(runs, process)
    runs.report("wine", phase=phase, succeeded=succeeded, reason=reason, message="That was it.", **more)

    output, said = process.communicate(timeout=PATIENCE)

    assert process.returncode == status, said
    assert output == ""
    assert f"wine: {phase}" in said
    assert bool(status) == ("Error: Run 'wine' " in said and f"{reason}: That was it." in said)
    assert "Traceback" not in said


def test_a_directory_is_sent_as_it_lies_there(runs, start, tmp_path):
    project(tmp_path / "project", "echo done")

    process = start(tmp_path / "project", "--run-name", "first")
    runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded")
    _, said = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, said
    assert "Sending 1 file" in said
    spec = runs.read("wine")["spec"]
    assert "bundle" in spec["project"]
    assert spec["experiment"]["runName"] == "first"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_ends_it_leaves_the_run_alone_and_reads_how_to_come_back(runs, start, number, status):
    process = start(URI)
    running(runs, process)

    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)

    assert process.returncode == status, said
    assert "Detached from run 'wine', which goes on." in said
    for command in ("wait", "logs -f", "cancel"):
        assert f"mlp {command} wine -n {runs.namespace}" in said
    assert "shutdown" not in runs.read("wine")["spec"]
    assert "Traceback" not in said


def test_no_wait_prints_the_run_s_name_and_nothing_else(runs):
    config = {"namespace": runs.namespace, "name": "wine", "spec": {"managedBy": MANAGED_BY_THE_TEST}}

    done = subprocess.run(
        [MLP, "run", URI, "-b", "kubernetes", "-c", json.dumps(config), "--no-wait"],
        env=environment(KUBECONFIG=str(runs.cluster.kubeconfig)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "wine\n"), done.stderr
    assert "wine" in runs.names()
