from __future__ import annotations

import os

import pytest

from tests.servers.wheels import wheel
from tests.source import repositories
from tests.steps.pods import Pod


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch, wheels, tmp_path_factory):
    """What the machine's user has configured must not decide a test; and packages are those made here."""
    settings = ("AWS_", "CONDA_", "DATABRICKS_", "MLFLOW_", "MLP_", "PIP_", "RATTLER_", "UV_")
    for name in os.environ:
        if name.startswith(settings) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("MLP_ENV_COMPILE", "false")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheels")
    wheel(directory, "alpha", scripts={"alpha": "alpha:main"})
    return directory


@pytest.fixture
def pod(tmp_path):
    pod = Pod(tmp_path / "pod")
    # What the kubelet makes before a container starts.
    for directory in (pod.layout.plan.parent, pod.layout.termination_log.parent, pod.layout.project.parent):
        directory.mkdir(parents=True)
    pod.layout.termination_log.touch()
    return pod


@pytest.fixture
def repository(tmp_path):
    return repositories.create(tmp_path / "served" / "project")


@pytest.fixture
def commit(repository):
    return repository.commit({"MLproject": "name: x\n", "sub/MLproject": "name: y\n", "other/f": "1"})
