"""A namespace of an API server that knows ProjectRuns, seen through the installed ``mlp``."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlp.resources import Condition, ProjectRunStatus
from mlp.resources.crd import CRD_NAME
from tests.cli.program import MLP, environment, mlp
from tests.cluster.cluster import ClusterError
from tests.resources.manifests import project_run

if TYPE_CHECKING:
    import subprocess

    from tests.cluster.cluster import Cluster

CRDS = Path(__file__).parents[1] / "crds"
MANAGED_BY_THE_TEST = "mlp.dev/test"
"""An operator that happens to run in this cluster leaves these runs alone: the test plays its part."""


class Runs:
    """A namespace's ProjectRuns: what its user does with mlp, and what an operator does with the API."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def mlp(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Call mlp with the cluster's kubeconfig, in the namespace."""
        return mlp(*arguments, "-n", self.namespace, KUBECONFIG=str(self.cluster.kubeconfig), **options)

    def command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """The same as a command line and an environment, for those who start it themselves."""
        return [MLP, *arguments, "-n", self.namespace], environment(KUBECONFIG=str(self.cluster.kubeconfig))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def create(self, name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> str:
        manifest = project_run(name=name, managedBy=MANAGED_BY_THE_TEST, **spec)
        manifest["metadata"]["labels"] = labels or {}
        self.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
        return name

    def read(self, name: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", "projectrun", name, "-o", "json"))

    def names(self) -> list[str]:
        return self.kubectl("get", "projectruns", "-o", "jsonpath={.items[*].metadata.name}").split()

    def report(self, name: str, *, phase: str, succeeded: str, reason: str, message: str = "", **more: Any) -> None:
        """Set a run's status as an operator would."""
        outcome = Condition(
            type="Succeeded",
            status=succeeded,
            reason=reason,
            message=message,
            last_transition_time=datetime.now(UTC),
        )
        status = ProjectRunStatus(observed_generation=1, phase=phase, conditions=(outcome,), **more)
        patch = json.dumps({"status": status.to_dict()})
        self.kubectl("patch", "projectrun", name, "--subresource=status", "--type=merge", "-p", patch)


def make_known(cluster: Cluster) -> None:
    """Have an API server know ProjectRuns, and wait until it does.

    Not by `kubectl wait`, which takes the moment before the first condition is there for an error.
    """
    cluster.kubectl("apply", "-f", str(CRDS))
    end = time.monotonic() + 120
    while True:
        try:
            cluster.kubectl("get", CRD_NAME)
        except ClusterError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.fixture(scope="session")
def knows_projectruns(api_server: Cluster) -> Cluster:
    """The API server with the CRD."""
    make_known(api_server)
    return api_server


@pytest.fixture
def runs(knows_projectruns: Cluster, namespace: str) -> Runs:
    """A namespace for ProjectRuns."""
    return Runs(knows_projectruns, namespace)
