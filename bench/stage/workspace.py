"""A Databricks workspace for runs that take their time and do nothing: the tests' double, as a process of its own.

It is no measure of Databricks. What is counted are the requests that it gets, by its own journal, and when its runs
have ended, by the clock of this machine.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.stage.api import NAMESPACE
from tests.databricks_server.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.stage.api import Api, Object
    from bench.stage.repository import Repository

__all__ = ["Asked", "Workspace"]

_SECRET: Final = "workspace"  # noqa: S105 -- its name
_CLUSTER: Final = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests of one kind.

    Attributes:
        count: How many there were.
        most: The most within any one second.
    """

    count: int
    most: int

    @classmethod
    def of(cls, times: Sequence[float]) -> Asked:
        """Count requests by when they came."""
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 1:
                first += 1
            most = max(most, last - first + 1)
        return cls(len(times), most)


class Workspace:
    """A running workspace."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory: Path) -> Iterator[Workspace]:
        """A workspace for as long as the block lasts."""
        with Program(directory) as program:
            yield cls(program)

    async def let_in(self, api: Api) -> None:
        """Create the Secret by which runs get in."""
        encoded = base64.b64encode(self._program.token.encode()).decode()
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": _SECRET},
            "data": {"token": encoded},
        }
        await api.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", body)

    def project_run(self, name: str, repository: Repository, *, seconds: float) -> Object:
        """A ProjectRun that takes so many seconds there."""
        script = json.dumps({"instant": round(seconds, 3), "logs": "trained\n"})
        return {
            "apiVersion": "mlp.dev/v1alpha1",
            "kind": "ProjectRun",
            "metadata": {"name": name},
            "spec": {
                "project": {"uri": repository.uri, "version": repository.commit},
                "parameters": [{"name": "alpha", "value": "0.1"}],
                "backend": {
                    "type": "Databricks",
                    "databricks": {
                        "host": self._program.url,
                        "secretRef": {"name": _SECRET},
                        "cluster": {"newCluster": _CLUSTER},
                        "tags": [{"name": "double", "value": script}],
                    },
                },
            },
        }

    def runs(self) -> dict[str, list[tuple[float, float]]]:
        """When runs were submitted, and had ended, by the names of their ProjectRuns; seconds since the epoch."""
        found: dict[str, list[tuple[float, float]]] = {}
        for each in self._program.runs():
            found.setdefault(_name_of(each), []).append((each["submitted"], each["ended"] or math.inf))
        return found

    def asked(self) -> dict[str, Asked]:
        """The requests by the last part of their paths."""
        times: dict[str, list[float]] = {}
        for each in self._program.call("requests"):
            times.setdefault(each["path"].rpartition("/")[2], []).append(each["at"])
        return {call: Asked.of(sorted(found)) for call, found in times.items()}


def _name_of(run: dict[str, Any]) -> str:
    """NAMESPACE/NAME (TOKEN) is what submitted runs are called."""
    name: str = run["body"]["run_name"]
    return name.partition(" ")[0].partition("/")[2]
