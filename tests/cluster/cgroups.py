"""The cgroups of one cluster, in every hierarchy of the machine: made for kubelet, removed with all below them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "memory", "pids", "systemd")
"""The hierarchies of cgroup v1 in which kubelet wants its root to exist."""


def create(name: str) -> None:
    """Make the root of a cluster's cgroups; kubelet does not."""
    if (ROOT / "cgroup.controllers").exists():  # cgroup v2: one hierarchy
        place = ROOT / name
        place.mkdir(exist_ok=True)
        available = (ROOT / "cgroup.controllers").read_text().split()
        for directory in (ROOT, place):
            wanted = [f"+{controller}" for controller in available if controller in CONTROLLERS]
            (directory / "cgroup.subtree_control").write_text(" ".join(wanted))
        return
    for controller in CONTROLLERS:
        if (ROOT / controller).is_dir():
            (ROOT / controller / name).mkdir(exist_ok=True)


def existing(name: str) -> list[Path]:
    """Where cgroups of this name are now."""
    return [path for path in (ROOT / name, *ROOT.glob(f"*/{name}")) if path.is_dir()]


def remove(name: str, *, patience: float = 10.0) -> None:
    """Remove the cgroups of a cluster whose processes have ended; the kernel may need a moment to agree."""
    end = time.monotonic() + patience
    while roots := existing(name):
        for root in roots:
            for directory, _, _ in os.walk(root, topdown=False):
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
        if time.monotonic() > end:
            raise RuntimeError(f"cgroups are still in use: {', '.join(map(str, roots))}")
        time.sleep(0.02)
