"""Projects with a docker_env, run in a real engine: from the call to the container's end."""

from __future__ import annotations

import signal
import subprocess
import time
import uuid

import pytest

import mlp
from mlp.errors import RunFailed
from tests.backends.local.records import record, records
from tests.cli.program import MLP, environment, project


@pytest.fixture
def engine(podman, mlflow_server, monkeypatch):
    """An engine that mlp finds, and a tracking server that containers reach."""
    variables = {
        **environment(),
        **podman.variables,
        "MLP_CONTAINER_ENGINE": podman.program,
        "MLFLOW_TRACKING_URI": mlflow_server.uri,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLP_TRACKING")
    return podman


@pytest.fixture
def experiment():
    return f"contained-{uuid.uuid4().hex}"


def contained(directory, engine, command, *, parameters=None, **docker):
    return project(
        directory, command, parameters=parameters, docker_env={"image": engine.large, **docker}, name="boxed"
    )


def gone(engine, name):
    end = time.monotonic() + 60
    while name in engine.containers():
        assert time.monotonic() < end
        time.sleep(0.1)
    return True


def test_a_project_runs_in_its_container_and_is_recorded(engine, experiment, tmp_path, mlflow_server, capfd):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a table.csv").write_text("1,2\n")
    work = contained(
        tmp_path / "work",
        engine,
        'cat {data} && echo {who} "$MLFLOW_RUN_ID" "$COLOUR" > said && pwd',
        parameters={"data": "path", "who": "string"},
        environment=[["COLOUR", "dark; blue"]],
    )

    run = mlp.run(
        work,
        parameters={"data": tmp_path / "data" / "a table.csv", "who": "it's $HOME; id"},
        experiment_name=experiment,
        docker_args={"network": "host"},
    )

    assert capfd.readouterr().out == "1,2\n/mlflow/projects/code\n"
    assert (work / "said").read_text() == f"it's $HOME; id {run.run_id} dark; blue\n"
    kept = record(mlflow_server.uri, run.run_id)
    assert kept.status == "FINISHED"
    assert {"mlflow.project.env": "docker", "mlflow.docker.image.uri": engine.large}.items() <= kept.tags.items()
    assert gone(engine, f"mlp-{run.run_id}")


def test_the_exit_status_of_a_container_is_the_run_s(engine, experiment, tmp_path, mlflow_server):
    with pytest.raises(RunFailed) as failed:
        mlp.run(contained(tmp_path, engine, "echo why >&2; exit 7"), experiment_name=experiment)

    assert failed.value.status == 7
    assert failed.value.last_lines[-1] == "why"
    assert [kept.status for kept in records(mlflow_server.uri, experiment)] == ["FAILED"]


def test_cancelling_ends_the_container(engine, experiment, tmp_path, mlflow_server):
    work = contained(tmp_path, engine, "echo ready; sleep 300; true")
    run = mlp.run(work, experiment_name=experiment, synchronous=False)
    assert "ready" in run.logs(follow=True)
    assert f"mlp-{run.run_id}" in engine.containers()

    run.cancel()

    assert run.get_status() == "KILLED"
    assert gone(engine, f"mlp-{run.run_id}")
    assert record(mlflow_server.uri, run.run_id).status == "KILLED"


def test_a_signal_to_the_command_line_ends_the_container(engine, experiment, tmp_path, mlflow_server):
    work = contained(tmp_path, engine, "while :; do echo goes on; sleep 0.1; done")

    with subprocess.Popen(
        [MLP, "run", str(work), "--experiment-name", experiment],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        # Podman's client takes signals for itself until a moment after the first output.
        assert [running.stdout.readline() for _ in range(20)] == ["goes on\n"] * 20
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
        running.wait(100)

    (kept,) = records(mlflow_server.uri, experiment)
    assert kept.status == "KILLED"
    assert running.returncode not in {0, 1}
    assert not [name for name in engine.containers() if name.startswith("mlp-")]


def test_a_shell_script_runs_in_the_container_s_shell(engine, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MLP_TRACKING", "off")
    monkeypatch.setenv("SHELL", "/usr/bin/no-such-shell-in-the-image")
    work = contained(tmp_path, engine, "true")
    (work / "say.sh").write_text("echo from a script\n")

    mlp.run(work, "say.sh")

    assert capfd.readouterr().out == "from a script\n"
