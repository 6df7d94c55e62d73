"""MLflow tracking: a small client of its REST API, and the life of a project run in a tracking store.

`connect` opens the store that a URI or the environment means, `RunRecord` begins and ends a run in it, and the reading
functions show a driver program what runs have logged. A program that only imports this loads neither requests nor
mlflow. Nothing here knows how a project is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.lazily import lazily
from mlp.tracking import names

if TYPE_CHECKING:
    from mlp.tracking.connecting import connect, wanted_experiment
    from mlp.tracking.credentials import ServerAccess
    from mlp.tracking.entities import FileInfo, Metric, Run, RunData, RunInfo
    from mlp.tracking.reading import get_metric_history, get_run, list_artifacts, search_runs
    from mlp.tracking.record import RunRecord, default_user
    from mlp.tracking.store import Tracking

__all__ = [
    "FileInfo",
    "Metric",
    "Run",
    "RunData",
    "RunInfo",
    "RunRecord",
    "ServerAccess",
    "Tracking",
    "connect",
    "default_user",
    "get_metric_history",
    "get_run",
    "list_artifacts",
    "names",
    "search_runs",
    "wanted_experiment",
]

__getattr__ = lazily(
    __name__,
    {
        "connecting": ("connect", "wanted_experiment"),
        "credentials": ("ServerAccess",),
        "entities": ("FileInfo", "Metric", "Run", "RunData", "RunInfo"),
        "reading": ("get_metric_history", "get_run", "list_artifacts", "search_runs"),
        "record": ("RunRecord", "default_user"),
        "store": ("Tracking",),
    },
)
