"""Rows of docs/compatibility.md about environments: which one a command gets, what names it, who builds it when."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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


def test_of_a_conda_environment_other_managers_build_the_part_for_pip(tmp_path):
    file = tmp_path / "conda.yaml"
    file.write_text("dependencies: [python=3.11, gcc, pip=24, {pip: [scikit-learn==1.6]}]\n")

    specification = read("conda", file, manager="virtualenv")

    assert (specification.kind, specification.python) == ("python", "3.11")
    assert (specification.build, specification.pip) == (("pip==24",), ("scikit-learn==1.6",))
    assert "The following conda dependencies will not be installed in the resulting environment: ['gcc']" in str(
        specification.warnings
    )


def test_an_environment_is_named_by_what_it_asks_for(tmp_path):
    text = "channels: [conda-forge]\ndependencies: [python=3.11, numpy, {pip: ['-r more.txt']}]\n"
    (tmp_path / "more.txt").write_text("pandas\n")
    first = hash_of(tmp_path, text)
    reordered = (
        "# a note\nname: wine\ndependencies: [numpy, python=3.11, {pip: ['-r more.txt']}]\nchannels: [conda-forge]\n"
    )
    assert hash_of(tmp_path, reordered) == first

    assert hash_of(tmp_path, text.replace("numpy", "numpy=2")) != first
    (tmp_path / "more.txt").write_text("pandas==2\n")
    assert hash_of(tmp_path, text) != first

    python = f"python: '{PYTHON}'\ndependencies: [pandas]\n"
    by_manager = {hash_of(tmp_path, python, kind="python", manager=each) for each in (None, "virtualenv", "uv")}
    assert len(by_manager) == 1


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


def test_two_first_runs_at_once_build_one_environment(python_project, envs):
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: mlp("run", python_project, **envs), range(2)))

    assert [run.returncode for run in runs] == [0, 0], [run.stderr for run in runs]
    assert len({run.stdout for run in runs}) == 1
    assert sum("was built" in run.stderr for run in runs) == 1


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
def container_project(podman, tmp_path):
    """A project that runs in a container, and what it takes to run it."""
    docker = {"image": podman.large, "environment": ["COPIED", ["PAIR", "a b;c"]], "volumes": ["./raw:/raw"]}
    directory = project(
        tmp_path / "wine",
        'pwd; cat {table}; echo "$COPIED $PAIR" && touch /raw/made; exit {status}',
        parameters={"table": "path", "status": {"type": "int", "default": 0}},
        docker_env=docker,
    )
    (directory / "raw").mkdir()
    (tmp_path / "table.csv").write_text("1,2\n")
    return directory, {**podman.variables, "MLP_CONTAINER_ENGINE": podman.program, "COPIED": "$(id)"}


def test_a_project_runs_in_its_container(container_project, tmp_path, podman):
    directory, variables = container_project

    done = mlp("run", directory, "-P", "table=table.csv", cwd=tmp_path, **variables)
    failed = mlp("run", directory, "-P", "table=table.csv", "-P", "status=7", cwd=tmp_path, **variables)

    assert (done.returncode, done.stdout) == (0, "/mlflow/projects/code\n1,2\n$(id) a b;c\n"), done.stderr
    assert (directory / "raw" / "made").exists()
    assert failed.returncode == 7
    assert podman.containers() == []


def test_a_manager_does_not_replace_a_container(container_project, tmp_path):
    directory, variables = container_project

    done = mlp("run", directory, "-P", "table=table.csv", "--env-manager", "uv", cwd=tmp_path, **variables)

    assert done.stdout.startswith("/mlflow/projects/code\n"), done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_container_ends_with_its_interrupted_run(container_project, podman, number, status):
    directory, variables = container_project
    project(directory, "while :; do echo goes on; sleep 0.1; done", docker_env={"image": podman.large})

    with subprocess.Popen(
        [MLP, "run", directory],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as running:
        # Podman's client takes signals for itself until a moment after the first output.
        assert [running.stdout.readline() for _ in range(20)] == [b"goes on\n"] * 20
        running.send_signal(number)
        running.stdout.read()
        assert running.wait(120) == status

    assert podman.containers() == []


def test_a_container_ends_with_its_cancelled_run(container_project, podman, tmp_path):
    directory, variables = container_project
    project(directory, "echo begun; sleep 600 & wait", docker_env={"image": podman.large})
    program = "import json, sys, mlp\nrun = mlp.run(sys.argv[1], synchronous=False)\n"
    program += "print(next(run.logs(follow=True)))\nrun.cancel()\nprint(run.get_status())\n"

    done = subprocess.run(
        [sys.executable, "-c", program, str(directory)],
        env=environment(**variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout.split() == ["begun", "KILLED"], done.stderr
    assert podman.containers() == []
