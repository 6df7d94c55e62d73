"""What tests of runs on Databricks from this machine need: a workspace that its user is logged in to."""

from __future__ import annotations

import pytest

from mlp.backends.databricks import connections

__all__ = ["logged_in"]


@pytest.fixture
def logged_in(databricks, monkeypatch, tmp_path):
    """The double, as the workspace of this process' user. Nothing is recorded unless a test says where."""
    for name in (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_RUN_ID",
        "MLFLOW_EXPERIMENT_ID",
        "MLFLOW_EXPERIMENT_NAME",
        "MLP_RUN_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATABRICKS_HOST", databricks.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", databricks.token)
    yield databricks
    connections.close_all()
