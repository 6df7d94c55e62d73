"""Volumes of the test cluster's node, and claims that are bound to them: there is no provisioner.

A volume is a directory of this machine, writable for the group of a run's containers: fsGroup does not reach a
hostPath.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.installation import Workspace

GROUP: Final = 65532
"""The group of a run's containers."""


@contextmanager
def claim(space: Workspace, name: str, directory: Path) -> Iterator[None]:
    """A claim of this name in the namespace, bound to a directory; the volume is gone after the block."""
    volume = f"{space.namespace}-{name}"
    source = {"path": str(directory), "type": "Directory"}
    size, modes = {"storage": "1Gi"}, ["ReadWriteMany"]
    reference = {"namespace": space.namespace, "name": name}
    described: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume},
        "spec": {"capacity": size, "accessModes": modes, "hostPath": source, "claimRef": reference},
    }
    described["spec"] |= {"storageClassName": "", "persistentVolumeReclaimPolicy": "Retain"}
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": modes, "resources": {"requests": size}, "storageClassName": "", "volumeName": volume},
    }
    space.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([described, wanted]))
    try:
        yield
    finally:
        space.cluster.kubectl("delete", "persistentvolume", volume, "--wait=false")


def writable(directory: Path) -> Path:
    """A directory that a run's containers may write to."""
    directory.mkdir(parents=True)
    os.chown(directory, 0, GROUP)
    directory.chmod(0o2775)
    return directory
