"""Where people see a run's MLflow run."""

from __future__ import annotations

import pytest

from mlp.backends.kubernetes import tracking_page
from mlp.resources import MlflowStatus


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("http://mlflow.mlflow:5000", "http://mlflow.mlflow:5000/#/experiments/7/runs/abc"),
        ("https://example.com/mlflow/", "https://example.com/mlflow/#/experiments/7/runs/abc"),
        ("https://ann:secret@example.com", "https://example.com/#/experiments/7/runs/abc"),
        ("https://x.cloud.databricks.com", "https://x.cloud.databricks.com/ml/experiments/7/runs/abc"),
        ("https://adb-1.2.azuredatabricks.net/", "https://adb-1.2.azuredatabricks.net/ml/experiments/7/runs/abc"),
        ("databricks", None),
        ("sqlite:///mlflow.db", None),
        (None, None),
    ],
)
def test_servers_with_pages_have_one_for_each_run(uri, page):
    assert tracking_page(MlflowStatus(run_id="abc", experiment_id="7", uri=uri)) == page


@pytest.mark.parametrize("status", [None, MlflowStatus(uri="https://h"), MlflowStatus(uri="https://h", run_id="abc")])
def test_what_is_not_recorded_has_no_page(status):
    assert tracking_page(status) is None
