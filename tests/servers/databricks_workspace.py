"""The double of a Databricks workspace, as pytest fixtures; or a real workspace, for tests that use what every one has.

With MLP_TEST_DATABRICKS=1 and DATABRICKS_HOST (and what databricks-sdk authenticates with) in the environment,
`workspace` is that real one, and tests that need to look behind the API say so and are skipped.

The machine of the double's clusters is one for the whole session, also where several processes run its tests: what one
run has pip install there for all, which takes seconds, the others find. pip gets it from wheels of what is installed
beside the tests. The double itself is imported by who asks for it: databricks-sdk takes a second.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.wheels import needed_by, repacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.databricks_server import DatabricksServer

__all__ = ["WorkspaceForTests"]

REAL = bool(os.environ.get("DATABRICKS_HOST")) and os.environ.get("MLP_TEST_DATABRICKS") == "1"
MLP = "mlp-operator"


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
    from tests.databricks_server.pythons import plain_python  # noqa: PLC0415 -- imports databricks-sdk

    return plain_python()


@pytest.fixture(scope="session")
def databricks_shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for what all processes of the session share: the machine of the clusters, and packages for it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "databricks"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session")
def databricks_driver(databricks_shared: Path) -> Path:
    """The machine of the double's clusters. A test that has to see a fresh one makes its own."""
    driver = databricks_shared / "driver"
    driver.mkdir(exist_ok=True)
    return driver


@pytest.fixture(scope="session")
def databricks_wheels(databricks_shared: Path) -> Path:
    """All that mlp needs, as wheels."""
    return _wheels(databricks_shared / "wheels", MLP)


@pytest.fixture(scope="session")
def databricks_conda_wheels(databricks_shared: Path) -> Path:
    """What mlp's extra conda needs, as wheels."""
    return _wheels(databricks_shared / "conda-wheels", "py-rattler", "uv")


def _wheels(directory: Path, *names: str) -> Path:
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():
            made = directory.with_suffix(".new")
            for each in sorted({each for name in names for each in needed_by(name)} - {MLP}):
                repacked(made, each)
            made.rename(directory)
    return directory


@pytest.fixture
def databricks(
    tmp_path: Path,
    databricks_python: Path,
    databricks_driver: Path,
    databricks_wheels: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[DatabricksServer]:
    """The double, served. It must have made no mistake of its own, and leaves no process."""
    from tests.databricks_server import DatabricksServer  # noqa: PLC0415 -- imports databricks-sdk
    from tests.databricks_server.processes import below  # noqa: PLC0415 -- as above

    # Clusters have these from whoever runs the double.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(databricks_wheels))
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
