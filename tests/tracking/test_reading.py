"""What a driver program reads of runs that are going on."""

from __future__ import annotations

import math
import uuid

import pytest

from mlp.errors import TrackingError, TrackingNotFound
from mlp.tracking import (
    FileInfo,
    Metric,
    RunRecord,
    connect,
    get_metric_history,
    get_run,
    list_artifacts,
    rest,
    search_runs,
)

LOG = """
client = mlflow.MlflowClient(tracking_uri=uri)
entities = [mlflow.entities.Metric(key, float(value), timestamp, step) for key, value, timestamp, step in metrics]
client.log_batch(run_id, metrics=entities)
"""


@pytest.fixture(autouse=True)
def configured(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)


@pytest.fixture
def begin(tracking, experiment):
    return lambda **options: RunRecord.begin(tracking, experiment_id=experiment, **options)


@pytest.fixture
def log(mlflow, uri):
    def log(record, *metrics):
        mlflow.run(LOG, uri=uri, run_id=record.run_id, metrics=metrics)

    return log


def test_metrics_are_seen_while_the_run_goes_on(begin, log):
    record = begin(run_name="live", parameters={"alpha": "1"})
    assert get_metric_history(record.run_id, "rmse") == []
    log(record, ("rmse", 2.5, 1000, 1))
    assert get_run(record.run_id).data.metrics == {"rmse": 2.5}
    log(record, ("rmse", 1.5, 2000, 2), ("size", 3, 2000, 0))
    run = get_run(record.run_id)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "live"
    assert run.data.metrics == {"rmse": 1.5, "size": 3.0}
    assert run.data.params == {"alpha": "1"}
    assert get_metric_history(record.run_id, "rmse") == [Metric("rmse", 2.5, 1000, 1), Metric("rmse", 1.5, 2000, 2)]


def test_metrics_that_are_no_numbers_are_read(begin, log):
    record = begin()
    log(record, ("m", "nan", 1, 1), ("up", "inf", 1, 1), ("down", "-inf", 1, 1))
    metrics = get_run(record.run_id).data.metrics
    assert math.isnan(metrics["m"])
    assert math.isnan(get_metric_history(record.run_id, "m")[0].value)
    assert metrics["up"] > 1e308
    assert metrics["down"] < -1e308


def test_a_long_history_comes_whole(begin, log, monkeypatch):
    monkeypatch.setattr(rest, "PAGE_OF_METRICS", 7)
    record = begin()
    log(record, *(("m", number, number, number) for number in range(50)))
    assert [metric.step for metric in get_metric_history(record.run_id, "m")] == list(range(50))


def test_runs_are_found_and_ordered(begin, log, experiment, monkeypatch):
    monkeypatch.setattr(rest, "PAGE_OF_RUNS", 2)
    records = [begin(parameters={"number": str(number)}) for number in range(5)]
    for number, record in enumerate(records):
        log(record, ("rmse", abs(number - 2), 1, 1))
    found = search_runs([experiment], order_by=["metrics.rmse ASC"])
    assert len(found) == 5
    assert found[0].info.run_id == records[2].run_id
    assert [run.data.metrics["rmse"] for run in found] == [0, 1, 1, 2, 2]
    assert len(search_runs([experiment], max_results=3)) == 3
    assert [run.data.params["number"] for run in search_runs([experiment], "params.number = '4'")] == ["4"]
    assert search_runs([experiment], "metrics.rmse > 5") == []


def test_a_filter_that_is_none_is_reported_in_mlflows_words(experiment):
    with pytest.raises(TrackingError, match=r"refuses: Invalid clause"):
        search_runs([experiment], "what?")


def test_artifacts_are_listed_directory_by_directory(begin, mlflow, uri):
    record = begin()
    assert list_artifacts(record.run_id) == []
    code = "client = mlflow.MlflowClient(tracking_uri=uri)\nfor name in names: client.log_text(run_id, 'hello', name)"
    mlflow.run(code, uri=uri, run_id=record.run_id, names=["model/größe.bin", "notes.txt"])
    assert list_artifacts(record.run_id) == [FileInfo("model", True), FileInfo("notes.txt", False, 5)]  # noqa: FBT003
    assert list_artifacts(record.run_id, "model") == [FileInfo("model/größe.bin", False, 5)]  # noqa: FBT003


def test_a_run_that_is_not_there_is_not_found():
    with pytest.raises(TrackingNotFound, match=r"Run with id=0123 not found"):
        get_run("0123")


def test_another_store_can_be_named(begin, monkeypatch, uri):
    record = begin()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.invalid")
    assert get_run(record.run_id, uri).info.run_id == record.run_id


def test_a_change_of_the_environment_is_seen(begin, monkeypatch, proxy):
    record = begin()
    assert get_run(record.run_id).info.status == "RUNNING"
    proxy.authorization = "Bearer later"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "later")
    assert get_run(record.run_id).info.status == "RUNNING"
    assert proxy.count("runs/get") == 1


def test_the_server_can_be_reached_with_the_same_rights(proxy, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", f"t-{uuid.uuid4().hex}")
    access = connect(proxy.url + "/").access
    assert access.url == proxy.url
    assert access.headers["Authorization"].startswith("Bearer t-")
    assert "t-" not in repr(access).replace(proxy.url, "")
