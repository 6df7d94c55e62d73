"""Rows of docs/compatibility.md about environments: which one a command gets, what names it, who builds it when."""

from __future__ import annotations

import platform
import signal
import subprocess

import pytest

from mlp.environment import read
from tests.cli.program import BIN, MLP, environment, mlp, project

PYTHON = platform.python_version()


@pytest.fixture
def python_project(tmp_path):
    """A project with an environment of nothing but an interpreter, and where its environments are kept."""
    directory = project(tmp_path / "wine", "echo $VIRTUAL_ENV", python_env="python_env.yaml")
    (directory / "python_env.yaml").write_text(f"python: '{PYTHON}'\ndependencies: []\n")
    return directory


@pytest.fixture
def envs(tmp_path):
    return {"MLP_ENV_ROOT": str(tmp_path / "envs")}


def hash_of(directory, text, *, kind="conda", manager=None):
    file = directory / "environment.yaml"
    file.write_text(text)
    return read(kind, file, manager=manager).hash


def test_what_the_project_declares_decides_unless_a_manager_is_named(python_project, envs):
    declared, named, current = (
        mlp("run", python_project, *arguments, VIRTUAL_ENV="/of/the/caller", **envs)
        for arguments in ((), ("--env-manager", "uv"), ("--env-manager", "local"))
    )

    assert declared.stdout.startswith(envs["MLP_ENV_ROOT"])
    assert named.stdout == declared.stdout
    assert current.stdout == "/of/the/caller\n"


def test_an_environment_is_active_for_every_line_of_a_command(python_project, envs):
    project(
        python_project,
        "# the interpreter\ncommand -v python\nsh -c 'command -v python'\n",
        python_env="python_env.yaml",
    )

    first, second = mlp("run", python_project, **envs).stdout.splitlines()

    assert first == second
    assert first.startswith(envs["MLP_ENV_ROOT"])


def test_a_python_environment_cannot_be_built_by_conda(python_project, envs):
    done = mlp("run", python_project, "--env-manager", "conda", **envs)

    assert done.returncode == 1
    assert (
        "Error: python_env project cannot be executed using conda. Set `--env-manager` to 'virtualenv' or 'local' to "
        "execute this project.\n"
    ) in done.stderr


def test_a_lock_file_of_uv_changes_nothing(python_project):
    file = python_project / "python_env.yaml"
    before = read("python", file, manager="uv").hash

    (python_project / "uv.lock").write_text("version = 1\n")

    assert read("python", file, manager="uv").hash == before


def test_no_conda_and_no_pyenv_is_called(python_project, envs, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("conda", "mamba", "pyenv", "virtualenv"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/called\nexit 1\n")
        (programs / name).chmod(0o755)
    told = {"MLFLOW_CONDA_HOME": str(tmp_path), "CONDA_EXE": str(programs / "conda"), "MLFLOW_ENV_ROOT": str(tmp_path)}

    done = mlp("run", python_project, PATH=f"{programs}:{BIN}:{environment()['PATH']}", **told, **envs)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(envs["MLP_ENV_ROOT"])
    assert not (tmp_path / "called").exists()


def test_conda_packages_are_installed_without_conda(conda_channel, tmp_path, envs):
    directory = project(tmp_path / "wine", "greeter", conda_env="conda.yaml")
    (directory / "conda.yaml").write_text(
        f"channels: [{conda_channel.url}, nodefaults]\ndependencies: [python, greeter]\n"
    )

    done = mlp("run", directory, PATH=f"{BIN}:/usr/bin:/bin", **envs)

    assert done.stdout == "greeter 1.0\n", done.stderr


def test_nothing_is_added_to_what_a_project_asks_for(python_project, envs):
    project(python_project, "python -c 'import mlflow'", python_env="python_env.yaml")

    done = mlp("run", python_project, **envs)

    assert done.returncode == 1
    assert "No module named 'mlflow'" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("python: 3.10\n", "python_env.yaml:1:9: `python` must be a string but got a number"),
        ("pyhton: '3.10'\n", "python_env.yaml:1:1: 'pyhton' is no key of a python_env file"),
        ("- numpy\n", "python_env.yaml:1:1: "),
    ],
)
def test_a_malformed_environment_file_is_told_with_its_place(python_project, envs, text, message):
    (python_project / "python_env.yaml").write_text(text)

    done = mlp("run", python_project, **envs)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_manager_is_inherited_by_the_runs_that_a_project_starts(python_project, tmp_path):
    outer = project(tmp_path / "outer", f"mlp run {python_project}")

    # Without one the inner run would want to build, in a place that cannot be.
    assert mlp("run", outer).returncode != 0
    assert mlp("run", outer, "--env-manager", "local").returncode == 0


@pytest.fixture
def engine(podman):
    """What makes mlp find the tests' own engine."""
    return {**podman.variables, "MLP_CONTAINER_ENGINE": podman.program}


def test_a_manager_does_not_replace_a_container(podman, engine, tmp_path):
    project(tmp_path, "pwd", docker_env={"image": podman.small})

    done = mlp("run", tmp_path, "--env-manager", "uv", **engine)

    assert done.stdout == "/mlflow/projects/code\n", done.stderr


def test_a_container_reaches_a_store_on_this_machine(podman, engine, tmp_path):
    """Its database, and the run's own artifacts where the run's record says that they are."""
    work = project(
        tmp_path / "work",
        'echo "$MLFLOW_TRACKING_URI"; ls /mlflow/tmp/mlruns; echo kept > {runs}/0/"$MLFLOW_RUN_ID"/artifacts/model',
        parameters={"runs": "string"},
        docker_env={"image": podman.small},
    )
    here = tmp_path / "here"
    here.mkdir()
    store = {"MLP_TRACKING": "on", "MLFLOW_TRACKING_URI": "sqlite:///mine.db"}

    # Not by `mlp`: MLflow needs its time to make the tables of a database.
    done = subprocess.run(
        [MLP, "run", work, "-P", f"runs={here}/mlruns"],
        cwd=here,
        env=environment(**store, **engine),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "sqlite:////mlflow/tmp/mlruns/mine.db"
    assert "mine.db" in done.stdout.splitlines()[1:]
    (model,) = (here / "mlruns").glob("0/*/artifacts/model")
    assert model.read_text() == "kept\n"


def test_an_interrupted_container_is_gone(podman, engine, tmp_path):
    project(tmp_path, "while :; do echo goes on; sleep 0.1; done", docker_env={"image": podman.large})

    with subprocess.Popen(
        [MLP, "run", tmp_path], env=environment(**engine), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as running:
        # Podman's client takes signals for itself until a moment after the first output.
        assert [running.stdout.readline() for _ in range(20)] == [b"goes on\n"] * 20
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        assert running.wait(120) == 130

    assert podman.containers() == []
