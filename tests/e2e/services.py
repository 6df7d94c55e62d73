"""What a project needs beside its repository, as servers that pods reach: data, packages, tracking.

They are the servers of tests/servers: each listens on 127.0.0.1, as it does for every other test, and the cluster's
network has a way to it. All want credentials; `variables` are what a run's Secret has to hold.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import requests

from tests.servers import dbfs, package_server
from tests.servers.conda_channel import Channel, Package, noarch, python_real
from tests.servers.guarded_proxy import GuardedProxy, guarding
from tests.servers.wheels import Index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.servers.mlflow_server import MlflowServer
    from tests.servers.seaweedfs import S3

TOOL: Final = Package("tool", files={"bin/tool": "#!/bin/sh\necho tool 1.0\n"}, executable={"bin/tool"})
"""The smallest package that a command can use: it needs no Python, so its environment is built in a moment."""


@dataclass(frozen=True)
class Store:
    """An S3."""

    here: S3
    variables: dict[str, str]

    def put(self, key: str, content: str) -> str:
        """Put an object; its URI."""
        with contextlib.closing(self.here.client()) as client:
            client.put_object(Bucket=self.here.bucket, Key=key, Body=content.encode())
        return f"s3://{self.here.bucket}/{key}"


def publish_store(cluster: Cluster, s3: S3) -> Store:
    """Let pods reach the session's S3."""
    address = cluster.publish(s3.port)
    variables = {
        "AWS_ENDPOINT_URL": f"http://{address}",
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return Store(s3, variables)


@dataclass(frozen=True)
class Databricks:
    """The files of a Databricks workspace."""

    root: Path
    variables: dict[str, str]

    def put(self, path: str, content: str) -> str:
        """Put a file; its URI."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return f"dbfs:/{path}"


@contextlib.contextmanager
def databricks(cluster: Cluster, root: Path) -> Iterator[Databricks]:
    """A workspace, for as long as the block lasts."""
    token = f"dapi-{secrets.token_hex(12)}"
    with dbfs.workspace(root, token=token) as server:
        address = cluster.publish(server.server_address[1])
        yield Databricks(root, {"DATABRICKS_HOST": f"http://{address}", "DATABRICKS_TOKEN": token})


@dataclass(frozen=True)
class Packages:
    """A conda channel and a package index: for everybody, and the same for those who know a password."""

    channel: str
    """For everybody: a channel's address."""
    requests: list[package_server.Request]
    """What everybody's server has been asked."""
    variables: dict[str, str] = field(repr=False)
    """Lead to the guarded ones."""
    password: str = field(repr=False)

    def asked_for(self, package: Package) -> int:
        """How often everybody's channel has given this package away."""
        return sum(each.path.endswith(f"/{package.file_name}") for each in self.requests)


@contextlib.contextmanager
def packages(cluster: Cluster, root: Path) -> Iterator[Packages]:
    """Real packages, served for as long as the block lasts: the Python that runs the tests, mlflow-skinny, and a tool.

    Neither conda-forge nor a package index can be reached from a pod here.
    """
    Channel(root / "channel", python_real(root / "python"), noarch("words"), TOOL)
    Index(root / "index").add_installed("mlflow-skinny")
    user, password = "ann", f"pk-{secrets.token_hex(12)}"
    with package_server.serving(root) as everybodys, package_server.serving(root, user=(user, password)) as guarded:
        everybodys_address = cluster.publish(everybodys.server_address[1])
        address = f"http://{user}:{password}@{cluster.publish(guarded.server_address[1])}"
        variables = {"MLP_CONDA_CHANNELS": f"{address}/channel", "UV_DEFAULT_INDEX": f"{address}/index/simple"}
        yield Packages(f"http://{everybodys_address}/channel", everybodys.requests, variables, password)


@dataclass(frozen=True)
class Records:
    """What an MLflow server has of runs."""

    uri: str
    """Where pods find it."""
    server: MlflowServer

    def ask(self, method: str, path: str, **values: Any) -> dict[str, Any]:
        """One request of MLflow's REST API, past any proxy."""
        with requests.Session() as session:
            session.trust_env = False
            address = f"{self.server.uri}/api/2.0/mlflow/{path}"
            if method == "GET":
                answer = session.get(address, params=values, timeout=60)
            else:
                answer = session.request(method, address, json=values, timeout=60)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        return found

    def runs(self, uid: str) -> list[dict[str, Any]]:
        """The MLflow runs of a ProjectRun, in all experiments."""
        experiments = self.ask("POST", "experiments/search", max_results=1000).get("experiments", [])
        found = self.ask(
            "POST",
            "runs/search",
            experiment_ids=[each["experiment_id"] for each in experiments],
            filter=f"tags.`mlp.projectrun.uid` = '{uid}'",
            max_results=100,
        )
        return list(found.get("runs", []))

    def run(self, run_id: str) -> dict[str, Any]:
        """An MLflow run: its ``info`` and ``data``."""
        found: dict[str, Any] = self.ask("GET", "runs/get", run_id=run_id)["run"]
        return found

    def state(self, run_id: str) -> str:
        """An MLflow run's status."""
        return str(self.run(run_id)["info"]["status"])

    def tags(self, run_id: str) -> dict[str, str]:
        """An MLflow run's tags."""
        return {each["key"]: each["value"] for each in self.run(run_id)["data"].get("tags", [])}


@dataclass(frozen=True)
class Tracking(Records):
    """An MLflow server behind a password. `proxy` can make it fail."""

    proxy: GuardedProxy
    variables: dict[str, str]


@contextlib.contextmanager
def tracking(cluster: Cluster, server: MlflowServer) -> Iterator[Tracking]:
    """The session's MLflow server behind a password of its own, for as long as the block lasts."""
    user, password = "mia", f"ml-{secrets.token_hex(12)}"
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    with guarding(server.uri, authorization=expected) as proxy:
        address = cluster.publish(proxy.server_address[1])
        variables = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
        yield Tracking(f"http://{address}", server, proxy, variables)
