"""Environments: how long a run waits for one that is there, and how long the first run waits for it to be built.

All builds install the same wheels from a directory on this machine, so that no network and no index decides. In turns,
so that whatever else the machine does meets all of them. What mlp does more than its peers (lock files, compiling,
flushing to the disk before it believes in the result) is in its times.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.results import Cell, Result, Table
from tests.cluster.lifeline import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["measure"]

TIMES: Final = 5
HITS: Final = 11
PATIENCE: Final = 600.0
TARGET: Final = 0.15

PACKAGES: Final = ("httpx", "rich", "jinja2", "pyyaml", "requests", "tqdm", "sqlparse", "click")
"""Small, widely used, and without extension modules that would dominate the time."""

ENSURE: Final = """
import sys
from pathlib import Path
from mlp.environment import EnvironmentCache, read
built = EnvironmentCache.default().ensure(read("python", Path(sys.argv[1])), progress=lambda line: None).built
sys.exit(0 if built == (sys.argv[2] == "built") else 3)
"""


def measure() -> Result:
    """Measure in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="mlp-bench-") as directory:
        return _measure(_Stage(Path(directory)))


@dataclass
class _Stage:
    """What all ways to build have in common, and what is thrown away between two builds."""

    directory: Path
    count: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def wheels(self) -> Path:
        return self.directory / "wheels"

    def fresh(self) -> Path:
        """A directory that nobody has used."""
        self.count += 1
        path = self.directory / f"made-{self.count}"
        path.mkdir()
        return path

    def prepare(self) -> None:
        """Fetch the wheels, once."""
        self._run([sys.executable, "-m", "venv", str(self.directory / "fetching")], dict(os.environ))
        pip = str(self.directory / "fetching" / "bin" / "pip")
        self._run([pip, "download", "--quiet", "--dest", str(self.wheels), *PACKAGES], dict(os.environ))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "MLP_"))}
        self.environment = {
            **kept,
            "HOME": str(self.directory / "home"),
            "PYTHONPYCACHEPREFIX": "",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        (self.directory / "python_env.yaml").write_text(
            "dependencies:\n" + "".join(f"- {package}\n" for package in PACKAGES)
        )

    def run(self, command: list[str], **variables: str) -> None:
        self._run(command, {**self.environment, **variables})

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        done = subprocess.run(
            command,
            env=environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            preexec_fn=die_with_parent,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with exit status {done.returncode}:\n{done.stderr[-2000:]}")


def _measure(stage: _Stage) -> Result:
    stage.prepare()
    warm_root, warm_uv = stage.fresh(), stage.fresh()
    ways: dict[str, Callable[[], None]] = {
        "mlp, caches empty": lambda: _mlp(stage, stage.fresh()),
        "mlp, caches full": lambda: _mlp(stage, warm_root),
        "mlp, caches full, not compiled": lambda: _mlp(stage, warm_root, MLP_ENV_COMPILE="false"),
        "uv venv + uv pip install, cache empty": lambda: _uv(stage, stage.fresh()),
        "uv venv + uv pip install, cache full": lambda: _uv(stage, warm_uv),
        "… with --compile-bytecode": lambda: _uv(stage, warm_uv, "--compile-bytecode"),
        "python -m venv + pip install": lambda: _pip(stage),
    }
    for name in ("mlp, caches full", "uv venv + uv pip install, cache full"):
        ways[name]()
    builds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TIMES):
        for name, build in ways.items():
            builds[name].append(_time(build))
    hits = _hits(stage, warm_root)
    return Result(
        title="Environments: found, and built",
        how=(
            f"uv {version('uv')}, {len(PACKAGES)} packages ({', '.join(PACKAGES)}) with what they need, from a "
            f"directory of wheels. Wall time of whole processes, in turns: {TIMES} builds each, {HITS} hits."
        ),
        tables=(
            Table("An environment that is there", ("process", "n", "median s", "min s", "max s", "target s"), hits),
            Table(
                "An environment that has to be built",
                ("way", "n", "median s", "min s", "max s", "/ mlp, caches full"),
                _rows(builds),
            ),
        ),
    )


def _rows(builds: dict[str, list[float]]) -> tuple[tuple[Cell, ...], ...]:
    base = statistics.median(builds["mlp, caches full"])
    return tuple(
        (name, len(times), statistics.median(times), min(times), max(times), statistics.median(times) / base)
        for name, times in builds.items()
    )


def _hits(stage: _Stage, root: Path) -> tuple[tuple[Cell, ...], ...]:
    ensure = [sys.executable, "-c", ENSURE, str(stage.directory / "python_env.yaml")]
    variables = _variables(stage, root)
    stage.run([*ensure, "built"], **variables)
    processes: dict[str, list[str]] = {
        "mlp.environment, a hit": [*ensure, "found"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(HITS):
        for name, command in processes.items():
            times[name].append(_time(lambda command=command: stage.run(command, **variables)))  # type: ignore[misc]
    targets = {"mlp.environment, a hit": f"<= {TARGET}"}
    return tuple(
        (name, len(each), statistics.median(each), min(each), max(each), targets.get(name))
        for name, each in times.items()
    )


def _variables(stage: _Stage, root: Path, **more: str) -> dict[str, str]:
    return {"MLP_ENV_ROOT": str(root), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(stage.wheels), **more}


def _mlp(stage: _Stage, root: Path, **more: str) -> None:
    # Another salt is another environment, of the same packages.
    variables = _variables(stage, root, MLP_ENV_SALT=f"build {stage.fresh()}", **more)
    stage.run([sys.executable, "-c", ENSURE, str(stage.directory / "python_env.yaml"), "built"], **variables)


def _uv(stage: _Stage, cache: Path, *options: str) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    prefix, variables = stage.fresh(), {"UV_CACHE_DIR": str(cache), "UV_LINK_MODE": "hardlink"}
    stage.run([uv, "venv", "--quiet", "--python", sys.executable, str(prefix / "venv")], **variables)
    install = [uv, "pip", "install", "--quiet", "--no-index", "--find-links", str(stage.wheels), *options]
    stage.run([*install, "--python", str(prefix / "venv" / "bin" / "python"), *PACKAGES], **variables)


def _pip(stage: _Stage) -> None:
    prefix = stage.fresh() / "venv"
    stage.run([sys.executable, "-m", "venv", str(prefix)])
    install = [str(prefix / "bin" / "pip"), "install", "--quiet", "--no-index", "--find-links", str(stage.wheels)]
    stage.run([*install, *PACKAGES])


def _time(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
