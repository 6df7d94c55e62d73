"""What runs on Databricks are tried on as a whole: a namespace, the operator as a process, and what people do to runs.

The operator can be killed and started again. The API server is asked over one connection: hundreds of calls of kubectl
would take longer than all that is asked about.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, Self

import requests

from mlp.resources import names
from mlp.source.bundle import pack
from tests.cluster.lifeline import die_with_parent
from tests.projectruns import make_known

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster import Cluster

__all__ = ["NAMESPACE", "OperatorProcess", "Space"]

NAMESPACE: Final = "default"
PROJECT: Final = "name: remote\nentry_points:\n  main:\n    command: 'true'\n"
CLUSTER: Final = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


class OperatorProcess:
    """The operator, for as long as nobody kills it.

    Args:
        kubeconfig: Its cluster.
        log: Where all of its lives are told.
        settings: Variables.
    """

    def __init__(self, kubeconfig: Path, log: Path, **settings: str) -> None:
        self.log = log
        self.lives = 0
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(log.parent),
            "KUBECONFIG": str(kubeconfig),
            "MLP_NAMESPACES": NAMESPACE,
            "MLP_HEALTH_HOST": "127.0.0.1",
            "MLP_HEALTH_PORT": "0",
            "MLP_DATABRICKS_PLAIN_HTTP": "true",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it. It may take its time to look around."""
        self.lives += 1
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlp_operator"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=die_with_parent,  # noqa: PLW1509 -- it makes one system call
            )

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def ended(self) -> bool:
        """Whether it has ended without having been killed."""
        return self._process is not None and self._process.poll() is not None


class Space:
    """A namespace of a cluster that knows ProjectRuns, with a project and the way into a workspace.

    Args:
        cluster: The cluster.
        directory: For files.
        host: The workspace's URL.
        token: A token for it.
    """

    def __init__(self, cluster: Cluster, directory: Path, *, host: str, token: str) -> None:
        from kubernetes.client import Configuration  # noqa: PLC0415 -- takes a second that others need not wait
        from kubernetes.config import load_kube_config  # noqa: PLC0415 -- likewise

        make_known(cluster)
        configuration = Configuration()
        load_kube_config(config_file=str(cluster.kubeconfig), client_configuration=configuration)
        self._host = host
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = configuration.ssl_ca_cert
        self._session.cert = (configuration.cert_file, configuration.key_file)
        self._base = configuration.host
        project = directory / "project"
        project.mkdir()
        (project / "MLproject").write_text(PROJECT)
        bundle = pack(project)
        self._digest = bundle.sha256
        for kind, content in (
            ("configmaps", {"binaryData": {names.BUNDLE_KEY: base64.b64encode(bundle.content).decode()}}),
            ("secrets", {"stringData": {"token": token}}),
        ):
            self._ask("POST", f"/api/v1/namespaces/{NAMESPACE}/{kind}", {"metadata": {"name": "databricks"}, **content})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def create(self, name: str, *, tags: dict[str, str] | None = None, timeout: int | None = None, **spec: Any) -> str:
        """Create a run; its uid.

        Args:
            name: Its name.
            tags: Of its new cluster.
            timeout: Its own limit on Databricks.
            spec: More of its spec.
        """
        backend: dict[str, Any] = {
            "host": self._host,
            "secretRef": {"name": "databricks"},
            "cluster": {"newCluster": CLUSTER},
        }
        if tags:
            backend["tags"] = [{"name": key, "value": value} for key, value in tags.items()]
        if timeout is not None:
            backend["timeoutSeconds"] = timeout
        body = {
            "apiVersion": f"{names.GROUP}/{names.VERSION}",
            "kind": names.KIND,
            "metadata": {"name": name},
            "spec": {
                "project": {"bundle": {"configMapName": "databricks", "sha256": self._digest}},
                "backend": {"type": "Databricks", "databricks": backend},
                **spec,
            },
        }
        made: str = self._ask("POST", self._runs(), body)["metadata"]["uid"]
        return made

    def patch(self, name: str, **spec: Any) -> None:
        """Change a run's spec."""
        self._ask("PATCH", self._runs(name), {"spec": spec})

    def delete(self, name: str) -> None:
        """Have a run deleted. It may stay for a while."""
        self._ask("DELETE", self._runs(name))

    def runs(self) -> dict[str, dict[str, Any]]:
        """All runs by name."""
        return {each["metadata"]["name"]: each for each in self._ask("GET", self._runs())["items"]}

    def _runs(self, name: str = "") -> str:
        path = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/{NAMESPACE}/{names.PLURAL}"
        return f"{path}/{name}" if name else path

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        answer = self._session.request(method, f"{self._base}{path}", json=body, headers=headers, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found
