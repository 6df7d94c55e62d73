"""Fixtures: a workspace, which is the double, or a real one for those that use nothing but what every workspace has.

With MLP_TEST_DATABRICKS=1 and DATABRICKS_HOST (and what databricks-sdk authenticates with) in the environment,
`workspace` is that real one, and tests that need to look behind the API say so and are skipped.

A conftest.py of the tests that want them imports them: databricks-sdk takes a second, which others need not wait.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.databricks_server import DatabricksServer
from tests.databricks_server.processes import below
from tests.databricks_server.pythons import plain_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REAL = bool(os.environ.get("DATABRICKS_HOST")) and os.environ.get("MLP_TEST_DATABRICKS") == "1"


@dataclass(frozen=True)
class WorkspaceForTests:
    """Where a workspace is, how to get in, and what it lets a run have.

    Attributes:
        host: Its URL.
        token: A personal access token; None where the environment says how to authenticate.
        new_cluster: The smallest cluster for a run.
        double: What is behind it; None for a real one.
    """

    host: str
    token: str | None = field(repr=False)
    new_cluster: dict[str, Any]
    double: DatabricksServer | None = None


@pytest.fixture(scope="session")
def databricks_python() -> Path:
    """The Python of the double's clusters: plain, with pip, and nothing of this project."""
    return plain_python()


@pytest.fixture(scope="session")
def databricks_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The machine of the double's clusters, for the whole session: what one run has installed for all, others find."""
    return tmp_path_factory.mktemp("driver")


@pytest.fixture
def databricks(tmp_path: Path, databricks_python: Path, databricks_driver: Path) -> Iterator[DatabricksServer]:
    """The double, served. It must have made no mistake of its own, and leaves no process."""
    with DatabricksServer(tmp_path / "databricks", python=databricks_python, driver=databricks_driver) as server:
        yield server
        left = server.left_behind()
    assert server.mistakes == []
    assert left == []
    assert below(server.directory / "runs") == {}


@pytest.fixture
def workspace(request: pytest.FixtureRequest) -> WorkspaceForTests:
    """A workspace of which nothing is known but its API: the double, or the real one that the environment names."""
    if REAL:
        cluster = {
            "spark_version": os.environ.get("MLP_TEST_SPARK_VERSION", "15.4.x-scala2.12"),
            "node_type_id": os.environ.get("MLP_TEST_NODE_TYPE", "i3.xlarge"),
            "num_workers": 0,
            "spark_conf": {"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"},
            "custom_tags": {"ResourceClass": "SingleNode"},
        }
        token = os.environ.get("DATABRICKS_TOKEN")
        return WorkspaceForTests(os.environ["DATABRICKS_HOST"], token, cluster)
    double: DatabricksServer = request.getfixturevalue("databricks")
    cluster = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0}
    return WorkspaceForTests(double.url, double.token, cluster, double)


@pytest.fixture
def behind(workspace: WorkspaceForTests) -> DatabricksServer:
    """What is behind the API of `workspace`: only the double lets anybody look there."""
    if workspace.double is None:
        pytest.skip("a real workspace does not let tests look behind its API")
    return workspace.double
