"""A real container engine: Podman from the distribution's packages, with storage and settings of the tests' own.

It needs root and nothing else: no daemon, no network of its own, no registry. Its images are made of this machine's
programs and the libraries that they are linked with, and hold nothing more.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster import cgroups, packages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAMS = ("sh", "cat", "env", "id", "ls", "mkdir", "sleep", "touch")


@dataclass(frozen=True)
class Podman:
    """An engine, and two images that it has."""

    program: str
    variables: Mapping[str, str]
    """What it needs in its environment, beside PATH."""
    small: str = "localhost/mlp-test/small:1"
    """An image with sh and a few other programs."""
    large: str = "localhost/mlp-test/large:1"
    """The same with bash."""

    def run(self, *arguments: str | Path) -> str:
        """Run one of its commands; what it says."""
        done = subprocess.run(
            [self.program, *map(str, arguments)],
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"podman {arguments[0]} failed:\n{done.stderr}")
        return done.stdout

    def containers(self) -> list[str]:
        """The names of all containers, running or not."""
        return self.run("ps", "--all", "--format", "{{.Names}}").split()


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Podman with its images; nothing of it is left behind."""
    if not packages.is_root():
        raise packages.Missing("containers need root here: run the tests as root")
    packages.require(packages.CONTAINERS)
    program = packages.find("podman")
    assert program
    # Not below pytest's own directory: an engine's sockets want short paths.
    with tempfile.TemporaryDirectory(prefix="mlp-podman-", ignore_cleanup_errors=True) as directory:
        engine = Podman(program, _settings(Path(directory)))
        try:
            engine.run("import", _archive(Path(directory) / "small.tar", PROGRAMS), engine.small)
            engine.run("import", _archive(Path(directory) / "large.tar", (*PROGRAMS, "bash")), engine.large)
            yield engine
        finally:
            engine.run("rm", "--force", "--all", "--time", "0")
            _remove_cgroups()


def _remove_cgroups() -> None:
    """The ones that every Podman makes and keeps, unless another one uses them."""
    for root in cgroups.existing("libpod_parent"):
        with contextlib.suppress(OSError):
            for place in (root / "conmon", root):
                if place.is_dir():
                    place.rmdir()


def _settings(directory: Path) -> dict[str, str]:
    """Files that tell Podman to keep to a directory and to what any machine allows."""
    files = {
        "CONTAINERS_CONF": (
            "[containers]\n"
            # Its defaults raise limits, which takes a capability that a sandbox's root lacks.
            'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            'netns = "host"\n'
            "[engine]\n"
            'cgroup_manager = "cgroupfs"\n'
            'events_logger = "file"\n'
            'runtime = "runc"\n'
            f'tmp_dir = "{directory}/tmp"\n'
            f'volume_path = "{directory}/volumes"\n'
        ),
        "CONTAINERS_STORAGE_CONF": (
            f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/root"\nrunroot = "{directory}/run"\n'
        ),
        "CONTAINERS_REGISTRIES_CONF": "unqualified-search-registries = []\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    return {name: str(directory / name) for name in files}


def _archive(file: Path, programs: tuple[str, ...]) -> Path:
    """A root file system of some programs."""
    with tarfile.open(file, "w") as archive:
        for place, mode in (("tmp", 0o1777), ("root", 0o700), ("etc", 0o755)):
            entry = tarfile.TarInfo(place)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        copied = {f"bin/{program}": _found(program) for program in programs}
        for path in [library for program in copied.values() for library in _libraries(program)]:
            copied[path.lstrip("/")] = path
        for name, path in copied.items():
            archive.add(Path(path).resolve(), arcname=name, recursive=False)
    return file


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise packages.Missing(f"{program} not found")
    return path


def _libraries(program: str) -> list[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+)(?= \(0x)", listed)
