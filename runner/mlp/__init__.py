"""mlp runs MLflow Projects on a laptop, on Kubernetes and on Databricks, with one meaning everywhere.

    run                 run a project: on this machine, or in a cluster
    run_manifest        run what a ProjectRun describes on this machine
    SubmittedRun        what both give back: run_id, wait, get_status, cancel, logs
    tracking            read what runs have recorded: parameters, metrics, artifacts
    download_artifacts  bring a run's artifacts, or any data that a path parameter could name
    ExecutionException  a project could not be run, or its run failed
    MlpError            the root of all errors; mlp.errors has the whole tree

The names are imported when they are used: ``import mlp`` is part of every command and every step in a pod.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mlp.version import __version__

if TYPE_CHECKING:
    from mlp import data, errors, projects, tracking
    from mlp.backends import SubmittedRun
    from mlp.data import download_artifacts
    from mlp.errors import ExecutionException, MlpError
    from mlp.projects import run, run_manifest

__all__ = [
    "ExecutionException",
    "MlpError",
    "SubmittedRun",
    "__version__",
    "data",
    "download_artifacts",
    "errors",
    "projects",
    "run",
    "run_manifest",
    "tracking",
]

_HOMES: Final = {
    "ExecutionException": "mlp.errors",
    "MlpError": "mlp.errors",
    "SubmittedRun": "mlp.backends",
    "download_artifacts": "mlp.data",
    "run": "mlp.projects",
    "run_manifest": "mlp.projects",
}
_MODULES: Final = frozenset({"data", "errors", "projects", "tracking"})


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- any of the names above
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"mlp.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
