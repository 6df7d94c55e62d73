"""MLflow's own function, with mlp as its backend and a Databricks workspace as the place."""

from __future__ import annotations

import pytest

from tests.cli.program import project

pytestmark = pytest.mark.peer

RUN = """
configuration = {"backend": "databricks", "serverless": True, "poll_interval": 0.2}
try:
    run = mlflow.projects.run(
        there, parameters={"a": "b c"}, backend="mlp", backend_config=configuration, experiment_id="0"
    )
    answer = [run.run_id, run.wait(), run.get_status(), isinstance(run, mlflow.projects.SubmittedRun), *run.logs()]
except mlflow.exceptions.ExecutionException as error:
    answer = str(error)
"""


@pytest.fixture
def called(mlflow, databricks, tmp_path):
    """Calls MLflow's function for a project; what came of it."""
    there = project(tmp_path / "p", "echo {a}", parameters={"a": "string"})

    def call(tracking_uri):
        variables = {
            "DATABRICKS_HOST": databricks.url,
            "DATABRICKS_TOKEN": databricks.token,
            "MLFLOW_TRACKING_URI": tracking_uri,
        }
        return mlflow.run(RUN, there=str(there), variables=variables)

    return call


def test_it_gives_one_of_its_runs_and_tags_it(called, databricks, mlflow, mlflow_server):
    run_id, *told = called(mlflow_server.uri)

    assert told == [True, "FINISHED", True, "b c"]
    seen = mlflow.seen(mlflow_server.uri, run_id)
    assert seen["info"]["status"] == "FINISHED"
    assert seen["data"]["params"] == {"a": "b c"}
    assert seen["data"]["tags"]["mlflow.project.backend"] == "mlp"
    assert seen["data"]["tags"]["mlflow.databricks.shellJobRunID"] == str(databricks.runs()[0]["run_id"])


def test_a_store_of_this_machine_is_refused_in_mlflow_s_words(called, tmp_path):
    assert "Got local tracking URI" in called(f"sqlite:///{tmp_path / 'mlflow.db'}")
