from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from mlp.resources import names
from mlp.resources.plan import Plan, PlannedDownload, PlannedEnvironment, PlannedProject, PlannedSource
from mlp.steps import Layout
from tests.servers.wheels import wheel
from tests.source import repositories

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pod:
    """The directories of a pod below one of a test's own."""

    root: Path

    @property
    def layout(self):
        return Layout.under(self.root)

    def plan(self, *, downloads=(), environment=None, tracking_uri=None, **source):
        """Write the plan: a source, URIs by parameter, and what an environment is."""
        plan = Plan(
            source=PlannedSource(**source),
            project=PlannedProject(name="x", entry_point="main", command="true"),
            downloads=tuple(
                PlannedDownload(parameter=parameter, uri=uri, path=f"{names.DATA_DIRECTORY}/{parameter}/{name}")
                for parameter, (uri, name) in dict(downloads).items()
            ),
            environment=None if environment is None else PlannedEnvironment(**environment),
            tracking_uri=tracking_uri,
        )
        self.layout.plan.write_text(plan.to_json())

    def command(self, *steps):
        return [sys.executable, "-m", "mlp.steps", "--root", str(self.root), *steps]

    def run(self, *steps, **environment):
        return subprocess.run(
            self.command(*steps), env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, *steps, **environment):
        """The same, while it runs. Its output is one text."""
        return subprocess.Popen(
            self.command(*steps),
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def report(self):
        return json.loads(self.layout.termination_log.read_text())


def mount(directory, /, **keys):
    """A Secret, as the kubelet mounts it: files in a directory of their version, links to them in front."""
    version = directory / "..2026_03_01_12_00_00.123456789"
    version.mkdir(parents=True)
    (directory / "..data").symlink_to(version.name)
    for name, content in keys.items():
        file = version / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(0o440)
        (directory / name).symlink_to(f"..data/{name}")


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
