"""MLflow's own function, with mlp as its backend and a cluster as the place. The test plays the operator."""

from __future__ import annotations

import threading
import time

import pytest
import requests

from tests.projectruns import MANAGED_BY_THE_TEST
from tests.resources.manifests import URI

pytestmark = pytest.mark.peer

PATIENCE = 60
POD_S_TRACKING_URI = "http://mlflow.mlflow:5000"
RUN = """
configuration = {"backend": "kubernetes", "tracking_uri": tracking_uri, "namespace": namespace, "name": "wine",
                 "spec": {"managedBy": managed_by}}
try:
    run = mlflow.projects.run(uri, backend="mlp", backend_config=configuration, experiment_id="0")
    answer = [run.run_id, run.wait(), run.get_status(), isinstance(run, mlflow.projects.SubmittedRun)]
except mlflow.exceptions.ExecutionException as error:
    answer = str(error)
"""


@pytest.fixture
def called(mlflow, mlflow_server, runs):
    """Calls MLflow's function while something else goes on; what came of it."""

    def call(meanwhile):
        operator = threading.Thread(target=meanwhile)
        operator.start()
        try:
            return mlflow.run(
                RUN,
                uri=URI,
                namespace=runs.namespace,
                managed_by=MANAGED_BY_THE_TEST,
                tracking_uri=POD_S_TRACKING_URI,
                variables={"KUBECONFIG": str(runs.cluster.kubeconfig), "MLFLOW_TRACKING_URI": mlflow_server.uri},
            )
        finally:
            operator.join()

    return call


def until_there(runs):
    deadline = time.monotonic() + PATIENCE
    while "wine" not in runs.names():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_it_gives_one_of_its_runs_and_tags_it(called, runs, mlflow_server):
    made = []

    def record_and_end():
        until_there(runs)
        created = requests.post(
            f"{mlflow_server.uri}/api/2.0/mlflow/runs/create", json={"experiment_id": "0", "start_time": 1}, timeout=60
        )
        made.append(created.json()["run"]["info"]["run_id"])
        mlflow = {"runId": made[0], "experimentId": "0", "uri": POD_S_TRACKING_URI}
        runs.report("wine", phase="Running", succeeded="Unknown", reason="Running", mlflow=mlflow)
        runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded", mlflow=mlflow)

    answer = called(record_and_end)

    assert answer == [made[0], True, "FINISHED", True]
    found = requests.get(f"{mlflow_server.uri}/api/2.0/mlflow/runs/get", params={"run_id": made[0]}, timeout=60).json()
    assert {"key": "mlflow.project.backend", "value": "mlp"} in found["run"]["data"]["tags"]
    spec = runs.read("wine")["spec"]
    assert spec["tracking"] == {"uri": POD_S_TRACKING_URI}
    assert spec["experiment"] == {"name": "Default", "tags": [{"name": "mlflow.project.backend", "value": "mlp"}]}


def test_a_run_that_is_recorded_elsewhere_is_told_of_with_the_way_out(called, runs):
    def end():
        until_there(runs)
        runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded")

    answer = called(end)

    assert "but MLflow's tracking server does not have its run" in answer
    assert "with 'tracking_uri' in the backend's configuration" in answer


def test_a_run_that_has_failed_at_once_is_told_of_as_that(called, runs):
    def end():
        until_there(runs)
        runs.report("wine", phase="Failed", succeeded="False", reason="ProjectInvalid", message="That was it.")

    assert "Run 'wine' failed. ProjectInvalid: That was it." in called(end)
