"""Where a run in a cluster is recorded, told from a call and from this machine's environment."""

from __future__ import annotations

import logging

import pytest

from mlp.backends.kubernetes.driver import Driver
from mlp.projects import local_request
from mlp.projects.recording import reachable, recording_of
from tests.resources.manifests import project_run

SERVER = "https://mlflow.example.com"
DRIVER = Driver(
    {
        **project_run(name="tuning"),
        "status": {"mlflow": {"runId": "parent", "experimentId": "7", "uri": "http://mlflow:5000"}},
    }
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("TRACKING_URI", "EXPERIMENT_ID", "EXPERIMENT_NAME", "RUN_ID"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    for name in ("KUBE_MLFLOW_TRACKING_URI", "MLP_RUN_ID", "MLP_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ann")
    return monkeypatch


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://mlflow.example.com/path", True),
        ("http://mlflow.mlflow:5000", True),
        ("http://10.0.0.7:5000", True),
        ("databricks", True),
        ("databricks://profile", True),
        ("databricks-uc", True),
        ("http://localhost:5000", False),
        ("http://mlflow.localhost", False),
        ("http://127.0.0.1:5000", False),
        ("http://[::1]:5000", False),
        ("http://0.0.0.0:5000", False),
        ("sqlite:///mlflow.db", False),
        ("./mlruns", False),
        ("file:///home/ann/mlruns", False),
        ("http://", False),
    ],
)
def test_a_server_of_this_machine_is_reached_by_no_pod(uri, expected):
    assert reachable(uri) is expected


@pytest.mark.parametrize(
    ("asked", "variables", "said", "uri"),
    [
        ({}, {}, {}, None),
        ({"tracking_uri": SERVER}, {"MLFLOW_TRACKING_URI": "http://other"}, {}, SERVER),
        ({}, {"MLFLOW_TRACKING_URI": SERVER}, {}, SERVER),
        ({}, {"MLFLOW_TRACKING_URI": "https://ann:secret@mlflow.example.com"}, {}, SERVER),
        ({}, {"MLFLOW_TRACKING_URI": "http://localhost:1", "KUBE_MLFLOW_TRACKING_URI": SERVER}, {}, SERVER),
        ({"tracking_uri": "sqlite:///mlflow.db"}, {}, {}, None),
        ({"tracking_uri": SERVER}, {"KUBE_MLFLOW_TRACKING_URI": SERVER}, {"tracking": {"uri": "http://mine"}}, None),
    ],
)
def test_the_server_is_the_most_particular_one_that_pods_reach(environment, asked, variables, said, uri):
    for name, value in variables.items():
        environment.setenv(name, value)

    found = recording_of(local_request(".", **asked), None, said)

    assert found.get("tracking") == (None if uri is None else {"uri": uri})


def test_a_server_that_no_pod_reaches_is_told_of_without_its_password(environment, caplog):
    environment.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@localhost:5000")

    with caplog.at_level(logging.WARNING, logger="mlp"):
        assert recording_of(local_request("."), None, {}) == {}

    assert "No pod reaches the tracking store http://localhost:5000" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("asked", "variables", "said", "name"),
    [
        ({}, {}, {}, None),
        ({"experiment_name": "wine"}, {"MLFLOW_EXPERIMENT_NAME": "beer"}, {"experiment": {"name": "tea"}}, "wine"),
        ({}, {"MLFLOW_EXPERIMENT_NAME": "beer"}, {}, "beer"),
        ({}, {"MLFLOW_EXPERIMENT_NAME": "beer"}, {"experiment": {"name": "tea"}}, None),
    ],
)
def test_the_experiment_is_the_most_particular_one(environment, asked, variables, said, name):
    for variable, value in variables.items():
        environment.setenv(variable, value)

    found = recording_of(local_request(".", **asked), None, said)

    assert found.get("experiment") == (None if name is None else {"name": name})


def test_an_experiment_s_id_is_looked_up_where_this_machine_records(environment, mlflow_server, mlflow):
    made = "answer = mlflow.MlflowClient(tracking_uri=uri).create_experiment('by its id')"
    experiment_id = mlflow.run(made, uri=mlflow_server.uri)
    environment.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)

    assert recording_of(local_request(".", experiment_id=experiment_id), None, {}) == {
        "experiment": {"name": "by its id"}
    }


def tags(found):
    return {tag["name"]: tag["value"] for tag in found.get("experiment", {}).get("tags", ())}


def test_the_run_that_is_active_here_is_the_parent_where_its_server_is_known(environment):
    environment.setenv("MLFLOW_RUN_ID", "active")

    assert tags(recording_of(local_request("."), None, {})) == {}
    environment.setenv("MLFLOW_TRACKING_URI", SERVER)
    assert tags(recording_of(local_request("."), None, {})) == {"mlflow.parentRunId": "active", "mlflow.user": "ann"}


def test_a_drivers_run_is_the_parent_in_its_own_experiment_and_server(environment):
    environment.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    environment.setenv("MLFLOW_EXPERIMENT_ID", "7")

    assert recording_of(local_request(".", run_name="first"), DRIVER, {}) == {
        "experiment": {"runName": "first", "tags": [{"name": "mlflow.parentRunId", "value": "parent"}]}
    }


def test_a_driver_may_record_elsewhere(environment):
    environment.setenv("MLFLOW_TRACKING_URI", SERVER)
    environment.setenv("MLFLOW_EXPERIMENT_NAME", "wine")

    found = recording_of(local_request("."), DRIVER, {})

    assert (found["tracking"], found["experiment"]["name"]) == ({"uri": SERVER}, "wine")
