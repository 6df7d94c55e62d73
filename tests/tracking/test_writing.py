"""What a driver program writes down of its own, read back with MLflow's client."""

from __future__ import annotations

import math

import pytest

from mlp.errors import TrackingNotFound
from mlp.tracking import RunRecord, get_metric_history, log_metrics, set_tags

READ = """
client = mlflow.MlflowClient(tracking_uri=uri)
data = client.get_run(run_id).data
answer = {"metrics": {key: str(value) for key, value in data.metrics.items()}, "tags": data.tags}
"""


@pytest.fixture
def run_id(tracking, experiment, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return RunRecord.begin(tracking, experiment_id=experiment).run_id


def test_metrics_and_tags_are_mlflows(run_id, mlflow, uri):
    log_metrics(run_id, {"rmse": 0.5, "rows": 3, "m": math.nan, "up": math.inf})
    log_metrics(run_id, {"rmse": 0.25}, step=1)
    set_tags(run_id, {"best": "first"})
    set_tags(run_id, {"best": "größe"}, uri)

    found = mlflow.run(READ, uri=uri, run_id=run_id)
    assert found["tags"]["best"] == "größe"
    # The server keeps the largest number for what is larger.
    assert float(found["metrics"].pop("up")) > 1e308
    assert found["metrics"] == {"rmse": "0.25", "rows": "3.0", "m": "nan"}
    assert [(metric.step, metric.value) for metric in get_metric_history(run_id, "rmse")] == [(0, 0.5), (1, 0.25)]


def test_any_number_of_metrics_goes_through(run_id):
    log_metrics(run_id, {f"m{number}": number for number in range(250)})
    assert get_metric_history(run_id, "m249")[0].value == 249


def test_a_run_that_is_not_there_is_not_found(run_id):
    assert run_id
    with pytest.raises(TrackingNotFound, match="0123"):
        log_metrics("0123", {"m": 1})
