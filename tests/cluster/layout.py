"""What one test cluster is: where it lives, what it is called, which addresses it has.

Everything here is derived from a directory and a few numbers, so that a developer's cluster and the one of a test
session can live side by side. Nothing here starts anything or touches the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

Kind = Literal["node", "control-plane"]
"""`node` runs pods and needs root; `control-plane` is the API server and its controllers, run by anyone."""

NODE: Final = "node1"
NODE_IP: Final = "192.168.77.1"
API_IP: Final = "10.96.0.1"
"""Where pods find the API server: the address of the Service `kubernetes`."""
SERVICE_RANGE: Final = "10.96.0.0/17"
SERVICE_IPS: Final = ("10.96.255.10", "10.96.255.11", "10.96.255.12", "10.96.255.13")
"""Addresses for the tests' own servers: pods reach them, the API server gives them to no Service."""
POD_RANGE: Final = "10.88.0.0/22"
COVERED: Final = ("/run", "/var/lib", "/var/log")
"""A node sees empty directories here: programs write to them whatever they are told (kubelet, CNI)."""
PAUSE_IMAGE: Final = "mlp.test/pause:1"

REPOSITORY: Final = Path(__file__).resolve().parents[2]


def cache_directory() -> Path:
    """Where things worth keeping between test runs are: binaries, images, a developer's cluster."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlp"


def default_base() -> Path:
    """The directory of a developer's cluster (`make cluster-up`)."""
    return cache_directory() / "cluster"


@dataclass(frozen=True, slots=True)
class Layout:
    """One cluster, as it is to be started."""

    base: Path
    binaries: Path
    kind: Kind = "node"
    port: int = 0
    """The API server's port on 127.0.0.1; 0 takes a free one."""
    kube_api_qps: float = 20
    kube_api_burst: int = 30
    """kube-controller-manager's limits towards the API server; the defaults are Kubernetes' own."""
    max_pods: int = 250

    @property
    def name(self) -> str:
        """What this cluster calls its cgroups: other clusters on this machine have other names."""
        return "mlp-test-" + hashlib.sha256(str(self.base).encode()).hexdigest()[:10]

    @property
    def pki(self) -> Path:
        """Keys, certificates and kubeconfigs."""
        return self.base / "pki"

    @property
    def run(self) -> Path:
        """Sockets and short-lived files of the components."""
        return self.base / "run"

    @property
    def log(self) -> Path:
        """One log file a component."""
        return self.base / "log"

    @property
    def kubeconfig(self) -> Path:
        """For processes on this machine: the API server on 127.0.0.1."""
        return self.pki / "host.kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.run / "containerd.sock"

    @property
    def pause_archive(self) -> Path:
        """The image that holds a pod's namespaces."""
        return self.base / "pause.tar"

    def binary(self, name: str) -> str:
        """The path of a Kubernetes program."""
        return str(self.binaries / name)

    def to_json(self) -> str:
        """For handing this over to another process."""
        return json.dumps({**asdict(self), "base": str(self.base), "binaries": str(self.binaries)})

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "base": Path(values["base"]), "binaries": Path(values["binaries"])})


@dataclass(frozen=True, slots=True)
class Running:
    """What a running cluster says about itself in `BASE/cluster.json`."""

    layout: Layout
    keeper: int
    """The process that ends the cluster when it is told to, or when its owner is gone."""
    box: int | None
    """The first process of the cluster's namespaces, as this machine numbers it; none for a control plane alone."""

    @staticmethod
    def path(base: Path) -> Path:
        """The file that `write` writes."""
        return base / "cluster.json"

    def write(self) -> None:
        """Publish at once: a reader sees all of it or nothing."""
        path = self.path(self.layout.base)
        new = path.with_suffix(".new")
        text = {"layout": json.loads(self.layout.to_json()), "keeper": self.keeper, "box": self.box}
        new.write_text(json.dumps(text, indent=2) + "\n")
        new.replace(path)

    @classmethod
    def read(cls, base: Path) -> Running | None:
        """What runs under `base`, as far as the file knows; None where nothing does."""
        try:
            values = json.loads(cls.path(base).read_text())
        except FileNotFoundError:
            return None
        return cls(Layout.from_json(json.dumps(values["layout"])), values["keeper"], values["box"])
