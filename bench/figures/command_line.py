"""`mlp run` beside `mlflow run`: the time of the whole command for a project whose own command takes none.

Both record their run, in an MLflow server and in MLflow's default store, a database in a file; mlp once more without
any record. In turns, so that whatever else the machine does meets all. The floors are what no tool of this kind can go
below: the shell that runs the command, and an empty Python.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.results import Cell, Result, Table
from tests.cluster.lifeline import die_with_parent
from tests.servers.mlflow_server import running

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["measure"]

TIMES: Final = 7
PATIENCE: Final = 60.0
TARGET: Final = 0.3
IMPORT_TARGET: Final = 0.1
RECORDED: Final = "mlp run, server"
UNRECORDED: Final = "mlp run, no record"
_PEER: Final = {"mlflow run, server": RECORDED, "mlflow run, database file": "mlp run, database file"}

MLPROJECT: Final = 'name: nothing\nentry_points:\n  main:\n    command: "true"\n'


def measure() -> Result:
    """Measure in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="mlp-bench-") as directory:
        return _measure(Path(directory))


def _measure(directory: Path) -> Result:
    project = directory / "project"
    project.mkdir()
    (project / "MLproject").write_text(MLPROJECT)
    (directory / "server").mkdir()
    with running(directory / "server") as server:
        times = _times(_calls(project, directory, server.uri), directory)
    medians = {name: statistics.median(each) for name, each in times.items()}
    rows: list[tuple[Cell, ...]] = [
        (name, TIMES, medians[name], min(each), max(each), medians[name] / medians[_PEER.get(name, name)], None)
        for name, each in times.items()
    ]
    for name in (RECORDED, UNRECORDED):
        added = medians[name] - medians["bash -c true"]
        rows.append((f"{name}, on top of the command", TIMES, added, None, None, None, f"<= {TARGET}"))
    added = medians["python -c 'import mlp'"] - medians["python -c pass"]
    rows.append(("import mlp, on top of Python", TIMES, added, None, None, None, f"<= {IMPORT_TARGET}"))
    return Result(
        title="mlp run beside mlflow run",
        how=(
            f"MLflow {version('mlflow')}. Wall time of the whole process for a project in a local directory whose "
            f"command is `true`, --env-manager local; in turns, {TIMES} times after one warm-up each."
        ),
        tables=(
            Table("Wall time", ("command", "n", "median s", "min s", "max s", "/ mlp run", "target s"), tuple(rows)),
        ),
    )


def _calls(project: Path, directory: Path, server: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    programs = Path(sys.executable).parent
    ours = [str(programs / "mlp"), "run", str(project), "--env-manager", "local"]
    mlflows = [str(programs / "mlflow"), "run", str(project), "--env-manager", "local"]
    environment = _environment(directory)
    to_server = {**environment, "MLFLOW_TRACKING_URI": server}
    to_file = {**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{directory / 'mlflow.db'}"}
    return {
        RECORDED: (ours, to_server),
        "mlflow run, server": (mlflows, to_server),
        "mlp run, database file": (ours, to_file),
        "mlflow run, database file": (mlflows, to_file),
        UNRECORDED: (ours, {**environment, "MLP_TRACKING": "off"}),
        "bash -c true": (["bash", "-c", "true"], environment),
        "python -c pass": ([sys.executable, "-c", "pass"], environment),
        "python -c 'import mlp'": ([sys.executable, "-c", "import mlp"], environment),
    }


def _times(calls: Mapping[str, tuple[list[str], dict[str, str]]], directory: Path) -> dict[str, list[float]]:
    for command, environment in calls.values():  # bytecode is compiled, the databases are made
        _time(command, environment, directory)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TIMES):
        for name, (command, environment) in calls.items():
            times[name].append(_time(command, environment, directory))
    return times


def _environment(directory: Path) -> dict[str, str]:
    """A user's, without their configuration."""
    ours = ("MLFLOW_", "MLP_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    home = directory / "home"
    home.mkdir()
    return {
        **kept,
        "HOME": str(home),
        # Compiled once, by the warm-up: some installations have no bytecode, and compiling takes longer than running.
        "PYTHONPYCACHEPREFIX": str(directory / "bytecode"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _time(command: list[str], environment: Mapping[str, str], directory: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        preexec_fn=die_with_parent,
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit status {done.returncode}:\n{done.stderr[-2000:]}")
    return elapsed
