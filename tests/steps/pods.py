"""A run's pod in a directory, as the kubelet and the operator make it, and its steps as processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlp.resources import names
from mlp.resources.plan import Plan, PlannedDownload, PlannedEnvironment, PlannedProject, PlannedSource
from mlp.steps import Layout

if TYPE_CHECKING:
    from pathlib import Path

CONDA = {"kind": "conda", "file": "conda.yaml"}
PYTHON = {"kind": "python", "file": "python_env.yaml"}
SOURCE = {"uri": "https://example.org/p", "commit": "0" * 40}


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


@contextlib.contextmanager
def running(pod, *steps, **environment):
    """A step that is killed with all its processes, should the test not see its end."""
    with pod.start(*steps, **environment) as process:
        try:
            yield process
        finally:
            process.kill()


def declare(pod, text, *, planned=CONDA, **plan):
    file = pod.layout.project / planned["file"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    pod.plan(environment=planned, **SOURCE, **plan)


def conda(channel, *dependencies, more=""):
    lines = "".join(f"- {each}\n" for each in dependencies)
    return f"channels: ['{channel}', nodefaults]\ndependencies:\n{lines}{more}"
