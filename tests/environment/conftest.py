from __future__ import annotations

import os
import subprocess

import pytest

from mlp.environment import EnvironmentCache, read
from tests.servers.wheels import wheel


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch, wheels, tmp_path):
    """Only the wheels made here are found, whatever this machine's pip and uv are told; and nobody's home is used."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_", "MLP_", "CONDA_", "RATTLER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    # Compiling takes longer than all the rest here; the tests that need it turn it on.
    monkeypatch.setenv("MLP_ENV_COMPILE", "false")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheels")
    for version in ("1.0", "2.0"):
        wheel(directory, "alpha", version)
    wheel(directory, "beta", requires=["alpha"], scripts={"beta": "beta:main"})
    wheel(directory, "picky", requires=["alpha<2"])
    return directory


@pytest.fixture
def cache(tmp_path):
    return EnvironmentCache(tmp_path / "envs")


@pytest.fixture
def project(tmp_path):
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def conda(project, conda_channel):
    """A specification of a conda.yaml with these lines, whose channel is the tests' own."""

    def specification(*dependencies: str, more: str = "", channel: str = conda_channel.url, **options):
        lines = "".join(f"- {each}\n" for each in dependencies)
        text = f"channels: ['{channel}', nodefaults]\ndependencies:\n{lines}{more}"
        return read("conda", written(project / "conda.yaml", text), **options)

    return specification


@pytest.fixture
def python_env(project):
    """A specification of a python_env.yaml with this text."""

    def specification(text: str = "", **options):
        return read("python", written(project / "python_env.yaml", text), **options)

    return specification


def written(file, text):
    file.write_text(text)
    return file


@pytest.fixture
def run_in():
    """Run a command in an environment, as a run does: in a shell that sources its script."""

    def run(environment, command: str, **variables: str) -> str:
        return subprocess.run(
            ["bash", "-c", f'. "{environment.activate}" && {command}'],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **variables},
        ).stdout.strip()

    return run
