"""MLflow tracking: a small client of its REST API, and the life of a project run in a tracking store.

`connect` opens the store that a URI or the environment means, `RunRecord` begins and ends a run in it, the reading
functions show a driver program what runs have logged, and two more write down what it has found. A program that only
imports this loads neither requests nor mlflow. Nothing here knows how a project is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.lazily import lazily
from mlp.tracking import names

if TYPE_CHECKING:
    from mlp.tracking.connecting import connect, connect_to, wanted_experiment
    from mlp.tracking.connection import Limits
    from mlp.tracking.credentials import Credentials, ServerAccess, Tls
    from mlp.tracking.diagnosis import Advice
    from mlp.tracking.entities import FileInfo, Metric, Run, RunData, RunInfo
    from mlp.tracking.reading import get_metric_history, get_run, list_artifacts, search_runs
    from mlp.tracking.record import RunRecord, default_user
    from mlp.tracking.retrying import Patience, Unanswered
    from mlp.tracking.store import Refused, Tracking
    from mlp.tracking.tags import project_tags
    from mlp.tracking.writing import log_metrics, set_tags

__all__ = [
    "Advice",
    "Credentials",
    "FileInfo",
    "Limits",
    "Metric",
    "Patience",
    "Refused",
    "Run",
    "RunData",
    "RunInfo",
    "RunRecord",
    "ServerAccess",
    "Tls",
    "Tracking",
    "Unanswered",
    "connect",
    "connect_to",
    "default_user",
    "get_metric_history",
    "get_run",
    "list_artifacts",
    "log_metrics",
    "names",
    "project_tags",
    "search_runs",
    "set_tags",
    "wanted_experiment",
]

__getattr__ = lazily(
    __name__,
    {
        "connecting": ("connect", "connect_to", "wanted_experiment"),
        "connection": ("Limits",),
        "credentials": ("Credentials", "ServerAccess", "Tls"),
        "diagnosis": ("Advice",),
        "entities": ("FileInfo", "Metric", "Run", "RunData", "RunInfo"),
        "reading": ("get_metric_history", "get_run", "list_artifacts", "search_runs"),
        "record": ("RunRecord", "default_user"),
        "retrying": ("Patience", "Unanswered"),
        "store": ("Refused", "Tracking"),
        "tags": ("project_tags",),
        "writing": ("log_metrics", "set_tags"),
    },
)
