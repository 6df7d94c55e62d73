"""The project's own test cluster without its node: etcd, API server, controllers, with our CRDs applied."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.stage.repository import Repository
from tests.cluster import binaries
from tests.cluster.cluster import plan, start
from tests.projectruns import make_known

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTROLLER_RATE", "ControlPlane"]

CONTROLLER_RATE: Final = 1000
"""Requests a second that each controller of kube-controller-manager may make. Its own limit, 20, would be all that is
measured: one Job costs its controller about ten."""


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running control plane.

    Attributes:
        kubeconfig: The way to it, as administrator.
        directory: For whatever else a measurement writes; removed with the cluster.
        repository: What runs run.
        version: Kubernetes' version.
    """

    kubeconfig: Path
    directory: Path
    repository: Repository
    version: str

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[ControlPlane]:
        """A control plane for as long as the block lasts; all of it goes with this process, whatever ends it."""
        base = Path(tempfile.mkdtemp(prefix="mlp-bench-"))
        try:
            layout = plan("control-plane", base=base, kube_api_qps=CONTROLLER_RATE, kube_api_burst=CONTROLLER_RATE)
            cluster = start(layout, owned=True)
        except BaseException:
            with contextlib.suppress(OSError):
                base.rmdir()  # where it has begun, the cluster's keeper removes it
            raise
        try:
            make_known(cluster)
            directory = base / "bench"
            repository = Repository.create(directory / "repository")
            yield cls(cluster.kubeconfig, directory, repository, binaries.version())
        finally:
            cluster.stop()
