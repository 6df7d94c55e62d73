"""One installation for all end-to-end tests, a namespace for each; servers begin with the first test that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import Missing, OwnCluster
from tests.e2e import on_databricks, services
from tests.e2e.installation import REPOSITORY, GitHost, Installed, Workspace, start_git
from tests.servers.guarded_proxy import guarding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster import Cluster
    from tests.databricks_server.program import Program
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


@pytest.fixture(scope="session")
def databricks_site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> on_databricks.Site:
    """Where Databricks workspaces of tests live."""
    if not isinstance(cluster, OwnCluster):
        raise Missing("a double of Databricks has to run in the cluster's network, which only the suite's own opens")
    return on_databricks.prepare(cluster, tmp_path_factory.mktemp("databricks-site"))


@pytest.fixture(scope="session")
def databricks_program(
    databricks_site: on_databricks.Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """A Databricks workspace that executes runs."""
    with on_databricks.serving(databricks_site, tmp_path_factory.mktemp("databricks-jobs")) as program:
        yield program


@pytest.fixture
def lakehouse(databricks_program: Program, workspace: Workspace) -> Iterator[on_databricks.Lakehouse]:
    """The Databricks workspace as a namespace uses it. No run must be left at work in it."""
    with on_databricks.used_by(workspace, databricks_program) as used:
        yield used


@pytest.fixture
def records(cluster: Cluster, mlflow_server: MlflowServer) -> Iterator[services.Records]:
    """The session's MLflow server, for everybody, at an address that is the same for pods and for Databricks."""
    with guarding(mlflow_server.uri) as proxy:
        yield services.Records(f"http://{cluster.publish(proxy.server_address[1])}", mlflow_server)
