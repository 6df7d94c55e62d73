"""What a driver program writes down of its own: ``mlp.tracking.log_metrics(run_id, {"rmse": 0.7})``.

So that a program that starts runs and reads them needs no mlflow for its result either. What a run's own program logs
is MLflow's business.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlp.tracking.entities import Metric
from mlp.tracking.reading import store_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["log_metrics", "set_tags"]


def log_metrics(run_id: str, metrics: Mapping[str, float], uri: str | None = None, *, step: int = 0) -> None:
    """Log a value of each of these metrics, as of now.

    Args:
        run_id: The run; ``MLFLOW_RUN_ID`` is a program's own.
        metrics: The values by name.
        uri: The store; None is the one that runs are recorded in.
        step: The step that they are of.
    """
    now = time.time_ns() // 1_000_000
    store_of(uri).log_metrics(run_id, [Metric(key, float(value), now, step) for key, value in metrics.items()])


def set_tags(run_id: str, tags: Mapping[str, str], uri: str | None = None) -> None:
    """Set tags of a run; those of the same names are replaced."""
    store_of(uri).set_tags(run_id, tags)
