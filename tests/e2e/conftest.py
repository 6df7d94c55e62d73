"""One installation for all end-to-end tests, a namespace for each; servers begin with the first test that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import services
from tests.e2e.installation import REPOSITORY, GitHost, Installed, Workspace, start_git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster import Cluster
    from tests.servers.mlflow_server import MlflowServer
    from tests.servers.seaweedfs import S3

# Reports what it was called with, then ends as it is told to.
PROBE = {
    "MLproject": """\
name: probe
entry_points:
  main:
    parameters:
      text: {type: string, default: ""}
    command: "python probe.py {text}"
  exit:
    parameters:
      code: int
    command: "echo about to leave && exit {code}"
  sleep:
    parameters:
      seconds: {type: float, default: 300}
    command: "echo asleep && exec sleep {seconds}"
""",
    "probe.py": "import json, os, sys\nprint('ARGV', json.dumps(sys.argv[1:]))\nprint('CWD', os.getcwd())\n",
}


@pytest.fixture(scope="session")
def installed(cluster: Cluster, images: object) -> Installed:
    """The operator, running."""
    del images  # are there
    operator = Installed(cluster)
    operator.install()
    return operator


@pytest.fixture(scope="session")
def git_host(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> GitHost:
    """A Git server with the examples and a probe."""
    host = start_git(cluster, tmp_path_factory.mktemp("git"))
    host.publish("examples.git", REPOSITORY / "examples")
    host.publish("probe.git", PROBE)
    return host


@pytest.fixture
def workspace(installed: Installed, git_host: GitHost, namespace: str) -> Workspace:
    """A namespace with the Git credentials in it."""
    space = Workspace(installed.cluster, namespace, git_host)
    space.give_credentials()
    return space


@pytest.fixture(scope="session")
def store(cluster: Cluster, s3: S3) -> services.Store:
    """An S3."""
    return services.publish_store(cluster, s3)


@pytest.fixture(scope="session")
def databricks(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Databricks]:
    """The files of a Databricks workspace."""
    with services.databricks(cluster, tmp_path_factory.mktemp("databricks")) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def packages(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Packages]:
    """A conda channel and a package index."""
    with services.packages(cluster, tmp_path_factory.mktemp("packages")) as served:
        yield served


@pytest.fixture
def tracking(cluster: Cluster, mlflow_server: MlflowServer) -> Iterator[services.Tracking]:
    """The session's MLflow server, behind a proxy of the test's own."""
    with services.tracking(cluster, mlflow_server) as server:
        yield server
