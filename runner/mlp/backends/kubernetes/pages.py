"""The addresses at which people see a run's MLflow run in a browser. Pure: nothing is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from mlp.resources import MlflowStatus

__all__ = ["tracking_page"]

_DATABRICKS: Final = (".databricks.com", ".azuredatabricks.net", ".databricks.us", ".databricks.azure.cn")
"""Workspaces have pages of their own."""


def tracking_page(mlflow: MlflowStatus | None) -> str | None:
    """The page of an MLflow run; None where there is no run, or no server with pages."""
    if mlflow is None or not (mlflow.uri and mlflow.run_id and mlflow.experiment_id):
        return None
    parts = urlsplit(mlflow.uri)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return None
    host = parts.netloc.rpartition("@")[2]
    page = f"/experiments/{quote(mlflow.experiment_id, safe='')}/runs/{quote(mlflow.run_id, safe='')}"
    path = parts.path.rstrip("/")
    if (parts.hostname or "").endswith(_DATABRICKS):
        return urlunsplit((parts.scheme, host, f"{path}/ml{page}", "", ""))
    return urlunsplit((parts.scheme, host, f"{path}/", "", page))
