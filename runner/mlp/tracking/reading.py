"""Reading runs from a driver program: ``mlp.tracking.get_run(run.run_id).data.metrics``.

Each function opens the store that `connect` finds, and keeps it for the next call: a driver polls.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.errors import TrackingError
from mlp.tracking.connecting import connect
from mlp.tracking.store import SEARCH_RESULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlp.tracking.entities import FileInfo, Metric, Run
    from mlp.tracking.store import Tracking

__all__ = ["get_metric_history", "get_run", "list_artifacts", "search_runs", "store_of"]


def get_run(run_id: str, uri: str | None = None) -> Run:
    """Look a run up: its state, and what it has logged so far.

    Raises:
        TrackingNotFound: There is none of that id.
    """
    return store_of(uri).get_run(run_id)


def get_metric_history(run_id: str, key: str, uri: str | None = None) -> list[Metric]:
    """All values of a metric so far, in the order in which they were logged. None yet: an empty list."""
    return store_of(uri).get_metric_history(run_id, key)


def search_runs(
    experiment_ids: Sequence[str],
    filter_string: str = "",
    max_results: int = SEARCH_RESULTS,
    order_by: Sequence[str] = (),
    uri: str | None = None,
) -> list[Run]:
    """Runs of experiments, by MLflow's filter language: ``metrics.rmse < 1 and params.model = 'tree'``.

    Args:
        experiment_ids: Where to look.
        filter_string: Which runs; empty: all that are not deleted.
        max_results: How many at most.
        order_by: For example ``["metrics.rmse ASC"]``: the best first. Without it, the newest first.
        uri: The store; None is the one that runs are recorded in.
    """
    return store_of(uri).search_runs(experiment_ids, filter_string, max_results, order_by)


def list_artifacts(run_id: str, path: str = "", uri: str | None = None) -> list[FileInfo]:
    """What lies directly in a directory of a run's artifacts."""
    return store_of(uri).list_artifacts(run_id, path)


def store_of(uri: str | None) -> Tracking:
    """The store that a driver program works with."""
    # What decides which store it is and how it is reached may change while a program runs.
    variables = tuple(sorted((name, value) for name, value in os.environ.items() if _concerns_tracking(name)))
    return _opened(uri, variables, str(Path.cwd()))


def _concerns_tracking(name: str) -> bool:
    return name.startswith(("MLFLOW_", "MLP_TRACKING", "DATABRICKS_")) or name == "HOME"


@functools.lru_cache(maxsize=4)
def _opened(uri: str | None, _variables: tuple[tuple[str, str], ...], _directory: str) -> Tracking:
    store = connect(uri)
    if store is None:
        raise TrackingError(
            "There is no tracking store to read from: set MLFLOW_TRACKING_URI, give a uri, or install mlflow (its "
            "default store is mlflow.db in the current directory). MLP_TRACKING=off switches all but the uri off."
        )
    return store
