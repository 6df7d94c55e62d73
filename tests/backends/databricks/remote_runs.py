"""Projects that are sent to a workspace and awaited there, as seen by whoever sends them."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlp.backends.databricks.access import token_access
from mlp.backends.databricks.submitting import submit
from mlp.backends.databricks.task import ArchivedProject, Assignment, Compute
from mlp.backends.databricks.workspace import connect
from mlp.source.bundle import pack
from tests.backends.databricks.tasks import task

if TYPE_CHECKING:
    from pathlib import Path

    from tests.databricks_server import DatabricksServer

__all__ = ["Ended", "Remote", "cluster"]


@dataclass(frozen=True)
class Ended:
    """A run that has ended: Databricks' words, and what was written."""

    run_id: int
    result: str
    logs: str
    error: str
    stderr: str
    directory: Path


class Remote:
    """Sends projects to the double."""

    def __init__(self, server: DatabricksServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.workspace = connect(token_access(server.url, server.token))
        self._numbers = itertools.count(1)

    def submit(self, project: Path, *, key: str | None = None, **given: Any) -> tuple[int, Path]:
        """Send a project; the run's id, and its directory on the driver."""
        number = next(self._numbers)
        directory = self.directory / "on-driver" / f"run-{number}"
        of_task = {name: given.pop(name) for name in ("compute", "upload_to", "run_as") if name in given}
        bundle = pack(project)
        asked = task(
            token=f"{self.directory.name}-{number}",
            compute=of_task.pop("compute", Compute(new_cluster=cluster())),
            project=ArchivedProject(key=key or bundle.sha256),
            assignment=Assignment(directory=str(directory), **given),
            **of_task,
        )
        return submit(self.workspace, asked, lambda: bundle.content), directory

    def run(self, project: Path, **given: Any) -> Ended:
        """Send a project, and wait for its end."""
        return self.ended(*self.submit(project, **given))

    def ended(self, run_id: int, directory: Path) -> Ended:
        """Wait for a run's end."""
        run = self.until(run_id, lambda run: run["state"]["life_cycle_state"] in {"TERMINATED", "INTERNAL_ERROR"})
        output = self.workspace.output(run["tasks"][0]["run_id"])
        return Ended(
            run_id,
            run["state"].get("result_state", ""),
            output.get("logs") or "",
            output.get("error") or "",
            self.server.stderr(run_id),
            directory,
        )

    def until(self, run_id: int, condition) -> dict[str, Any]:
        """Wait until something is true of a run."""
        deadline = time.monotonic() + 180
        while not condition(run := self.workspace.run(run_id)):
            assert time.monotonic() < deadline, run
            time.sleep(0.1)
        return run


def cluster(**variables: str) -> dict[str, Any]:
    """A small new cluster, with variables."""
    small = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0}
    return {**small, "spark_env_vars": variables} if variables else small
