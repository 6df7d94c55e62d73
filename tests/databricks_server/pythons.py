"""The Pythons of the double's clusters: plain ones, with pip and nothing of this project.

One without libraries is made once for the machine, below the cache directory of the suite; one with libraries once for
a set of them, with the cluster's own pip.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["InstallationError", "cluster_variables", "plain_python", "python_with"]

PASSED_ON = (
    *("PIP_", "UV_"),
    *("SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
"""What a cluster's machine has been told of the network: where packages come from, through which proxy, whom to
trust."""
STAMP = "ready"
"""The file in a Python that is whole."""
PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class InstallationError(Exception):
    """Libraries that cannot be installed; what pip has to say."""


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlp" / "databricks"


def cluster_variables(home: Path, temporary: Path, python: Path) -> dict[str, str]:
    """The environment of a cluster's processes: nothing of the tests' own but what PASSED_ON names."""
    passed = {
        name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON) and name != "UV_PYTHON"
    }
    # The machine's cache of packages, so that they are fetched once; a new home would have an empty one.
    caches = {"PIP_CACHE_DIR": str(_cache() / "pip"), "UV_CACHE_DIR": str(_cache() / "uv")}
    own = {
        "PATH": f"{python.parent}:{PROGRAMS}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return {**caches, **passed, **own}


def plain_python() -> Path:
    """The machine's Python for clusters without libraries."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    base = getattr(sys, "_base_executable", sys.executable)
    home = _cache() / f"python-{version}-{hashlib.sha256(base.encode()).hexdigest()[:8]}"
    return _made(home, lambda: _run([base, "-m", "venv", "--clear", str(home)], {"PATH": PROGRAMS}))


def python_with(
    python: Path,
    packages: Sequence[str],
    directory: Path,
    variables: dict[str, str],
    started: Callable[[subprocess.Popen[bytes]], None],
) -> Path:
    """A Python like another one, with packages beside.

    Args:
        python: The one that it is like.
        packages: Arguments of pip install.
        directory: Where such Pythons are kept.
        variables: The environment of pip.
        started: Told each process that this starts.

    Raises:
        InstallationError: pip has failed.
    """
    if not packages:
        return python
    contents = [
        hashlib.sha256(Path(each).read_bytes()).hexdigest() if Path(each).is_file() else each for each in packages
    ]
    key = hashlib.sha256(json.dumps([str(python), contents]).encode()).hexdigest()[:20]
    home = directory / key

    def make() -> None:
        if (python.parents[1] / "pyvenv.cfg").is_file():
            # To copy one takes a fraction of what it takes to make one, pip and all.
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(python.parents[1], home, symlinks=True, ignore=shutil.ignore_patterns(STAMP))
        else:
            _run([str(python), "-m", "venv", "--clear", str(home)], variables, started)
        _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], variables, started)

    return _made(home, make)


def _made(home: Path, make: Callable[[], None]) -> Path:
    stamp = home / STAMP
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.parent / f"{home.name}.lock"):
        if not stamp.exists():
            make()
            stamp.touch()
    return home / "bin" / "python"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _run(
    command: list[str], variables: dict[str, str], started: Callable[[subprocess.Popen[bytes]], None] | None = None
) -> None:
    with subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        if started is not None:
            started(process)
        said, _ = process.communicate()
    if process.returncode:
        raise InstallationError(said.decode(errors="replace").strip()[-2000:])
