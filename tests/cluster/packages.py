"""Programs of the operating system that the test cluster and the images need, and Debian's packages for them.

Installs what is missing where that is allowed (root, and apt-get), otherwise says what to install.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

PACKAGES: Final = {
    "openssl": "openssl",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "mount": "mount",
    "unshare": "util-linux",
    "catatonit": "catatonit",
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
    "git": "git",
    "git-lfs": "git-lfs",
    "podman": "podman",
}
"""A program (or a file's path) and the package that has it."""

CONTROL_PLANE: Final = ("openssl",)
NODE: Final = (
    *("openssl", "containerd", "ctr", "runc", "/usr/lib/cni/bridge", "iptables", "ip"),
    *("mount", "unshare", "catatonit"),
)
IMAGES: Final = ("mmdebstrap", "buildah")
CONTAINERS: Final = ("podman", "runc", "catatonit")


class Missing(Exception):  # noqa: N818 -- read as "raise Missing": what this machine lacks
    """This machine lacks something that a test needs; the message names it and the way out."""


def is_root() -> bool:
    """May this process make namespaces, cgroups and mounts, and install packages."""
    return os.geteuid() == 0


def find(program: str) -> str | None:
    """Where a program is. The administrator's directories are looked at too: a user's PATH often lacks them."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")


def require(programs: tuple[str, ...]) -> None:
    """Make sure that all `programs` are there, installing their packages as root; raises Missing."""
    if not (absent := _absent(programs)):
        return
    packages = sorted({PACKAGES[program] for program in absent})
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if not is_root() or not shutil.which("apt-get"):
        raise Missing(f"{', '.join(absent)} not found. On Debian: sudo {' '.join(command)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Tests in several processes may want the same.
    with Path(tempfile.gettempdir(), "mlp-test-packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for attempt in (command, ["apt-get", "update"], command):  # the lists may be old, or not there yet
            if not (absent := _absent(programs)):
                return
            subprocess.run(attempt, env=environment, capture_output=True, check=False)
        if not (absent := _absent(programs)):
            return
    raise Missing(f"{', '.join(absent)} not found, and `{' '.join(command)}` did not bring them")


def _absent(programs: tuple[str, ...]) -> list[str]:
    return [program for program in programs if find(program) is None]
