"""The command lines of the cluster's programs, and starting them: from a Layout and the addresses to use."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.cluster import configuration
from tests.cluster.layout import NODE, NODE_IP, SERVICE_RANGE
from tests.cluster.lifeline import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.layout import Layout

PATIENCE: Final = 90.0
"""Seconds until a component that is not ready is given up."""


class Components:
    """Programs of one cluster, children of this process, each with its own log file."""

    def __init__(self, layout: Layout, *, etcd: str, api: str) -> None:
        self.layout = layout
        self.etcd_url = etcd
        self.api_url = api
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, program: str | None = None) -> None:
        """Start a program; it dies with this process."""
        command = [program or self.layout.binary(name), *arguments]
        with (self.layout.log / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # noqa: PLW1509 -- it makes one system call
            )

    def start_etcd(self, *, peer: str) -> None:
        """etcd, without waiting for the disk: nobody needs this data after a crash."""
        self.start(
            "etcd",
            f"--data-dir={self.layout.base / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={self.etcd_url}",
            f"--advertise-client-urls={self.etcd_url}",
            f"--listen-peer-urls={peer}",
        )

    def start_api_server(self, *flags: str) -> None:
        """kube-apiserver with what both kinds of cluster share."""
        pki = self.layout.pki
        self.start(
            "kube-apiserver",
            f"--etcd-servers={self.etcd_url}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--cert-dir={self.layout.run}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--profiling=false",
            *flags,
        )

    def start_controller_manager(self) -> None:
        """kube-controller-manager: Jobs, garbage collection, ServiceAccounts, namespaces."""
        pki = self.layout.pki
        kubeconfig = pki / "controller-manager.kubeconfig"
        self.start(
            "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            "--secure-port=0",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            f"--kube-api-qps={self.layout.kube_api_qps}",
            f"--kube-api-burst={self.layout.kube_api_burst}",
            "--profiling=false",
        )

    def start_scheduler(self) -> None:
        """kube-scheduler."""
        kubeconfig = self.layout.pki / "scheduler.kubeconfig"
        self.start(
            "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.layout.run / 'scheduler'}",
            "--leader-elect=false",
            "--profiling=false",
        )

    def start_kubelet(self) -> None:
        """kubelet: the node."""
        self.start(
            "kubelet",
            f"--kubeconfig={self.layout.pki / 'kubelet.kubeconfig'}",
            f"--config={configuration.kubelet_file(self.layout)}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_IP}",
            f"--root-dir={self.layout.base / 'kubelet'}",
            f"--cert-dir={self.layout.run / 'kubelet'}",
        )

    def etcd_is_healthy(self) -> bool:
        """Does etcd answer."""
        host = urlsplit(self.etcd_url).netloc
        return _get(http.client.HTTPConnection(host, timeout=2), "/health") is not None

    def has(self, path: str) -> bytes | None:
        """What the API server answers to a GET as administrator; None for anything but 200."""
        pki = self.layout.pki
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        host = urlsplit(self.api_url).netloc
        return _get(http.client.HTTPSConnection(host, timeout=5, context=context), path)

    def wait_for(self, what: str, ready: Callable[[], object]) -> None:
        """Wait until `ready` is true; gives up when a component has ended, or after a long time."""
        end = time.monotonic() + PATIENCE
        while not ready():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended while waiting for {what}:\n{self.tail(name)}")
            if time.monotonic() > end:
                logs = "\n".join(f"--- {name}\n{self.tail(name)}" for name in self.processes)
                raise RuntimeError(f"gave up waiting for {what} after {PATIENCE:.0f} s\n{logs}")
            time.sleep(0.05)

    def wait_for_api_server(self) -> None:
        """Wait until the API server takes requests."""
        self.wait_for("the API server", lambda: self.has("/readyz"))

    def wait_for_default_account(self) -> None:
        """Wait until pods may be created in `default`: their ServiceAccount comes from a controller."""
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        self.wait_for("the ServiceAccount default", lambda: self.has(path))

    def tail(self, name: str, *, lines: int = 25) -> str:
        """The last lines of a component's log."""
        text = (self.layout.log / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def _get(connection: http.client.HTTPConnection, path: str) -> bytes | None:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status == http.HTTPStatus.OK else None
