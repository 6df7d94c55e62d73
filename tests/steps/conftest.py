from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from mlp.resources.plan import Plan, PlannedProject, PlannedSource
from mlp.steps import Layout
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

    def plan(self, **source):
        project = PlannedProject(name="x", entry_point="main", command="true")
        self.layout.plan.write_text(Plan(source=PlannedSource(**source), project=project).to_json())

    def command(self, *steps):
        return [sys.executable, "-m", "mlp.steps", "--root", str(self.root), *steps]

    def run(self, *steps, **environment):
        return subprocess.run(
            self.command(*steps), env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def report(self):
        return json.loads(self.layout.termination_log.read_text())


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
