"""What `mlp submit` gives a run that it submits from within a run."""

from __future__ import annotations

import pytest

from mlp.backends.kubernetes.driver import Driver
from mlp.projects.handing_on import handed_on
from mlp.resources import ProjectRun
from tests.resources.manifests import of_databricks, project_run

SERVER = "http://mlflow.mlflow:5000"


@pytest.fixture(autouse=True)
def pod(monkeypatch):
    for name in ("MLFLOW_EXPERIMENT_NAME", "KUBE_MLFLOW_TRACKING_URI", "MLP_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    monkeypatch.setenv("MLFLOW_RUN_ID", "parent")


@pytest.fixture
def driver():
    run = project_run(
        name="tuning",
        project={"uri": "https://git.example.com/team.git", "authSecretRef": {"name": "git"}},
        experiment={"name": "wine"},
        tracking={"uri": SERVER, "secretRef": {"name": "mlflow"}},
        data={"secretRef": {"name": "aws"}},
        queueName="team-a",
    )
    run["metadata"] |= {"namespace": "team-a", "uid": "u-1"}
    return Driver({**run, "status": {"mlflow": {"runId": "parent", "experimentId": "7", "uri": SERVER}}})


def test_a_child_is_recorded_below_its_driver_and_reaches_what_that_reaches(driver):
    child = handed_on(project_run(name="child", project={"uri": "https://git.example.com/team.git#a"}), driver)

    spec = ProjectRun.parse(child).spec
    assert spec.project.auth_secret_ref.name == "git"
    assert (spec.tracking.uri, spec.tracking.secret_ref.name) == (SERVER, "mlflow")
    assert spec.experiment.name == "wine"
    assert [(tag.name, tag.value) for tag in spec.experiment.tags] == [("mlflow.parentRunId", "parent")]
    assert (spec.data.secret_ref.name, spec.queue_name) == ("aws", "team-a")
    assert [owner["name"] for owner in child["metadata"]["ownerReferences"]] == ["tuning"]


def test_a_child_on_databricks_has_the_record_and_nothing_of_a_pod(driver):
    child = handed_on(of_databricks(serverless={}), driver)

    spec = ProjectRun.parse(child).spec
    assert spec.backend.databricks.secret_ref.name == "databricks"
    assert (spec.tracking.uri, spec.experiment.name) == (SERVER, "wine")
    assert [(tag.name, tag.value) for tag in spec.experiment.tags] == [("mlflow.parentRunId", "parent")]
    assert (spec.data, spec.queue_name) == (None, None)
    assert [owner["name"] for owner in child["metadata"]["ownerReferences"]] == ["tuning"]


def test_what_a_child_says_itself_takes_precedence(driver):
    tags = [{"name": "mlflow.parentRunId", "value": "mine"}, {"name": "mlp.source.dirty", "value": "true"}]
    own = project_run(
        name="child", tracking={"uri": "https://other.example.org"}, experiment={"tags": tags}, queueName="b"
    )

    child = handed_on(own, driver)

    assert child["spec"]["tracking"]["uri"] == "https://other.example.org"
    assert child["spec"]["queueName"] == "b"
    found = {tag["name"]: tag["value"] for tag in child["spec"]["experiment"]["tags"]}
    assert found == {"mlflow.parentRunId": "mine", "mlp.source.dirty": "true"}


def test_a_child_of_another_repository_or_namespace_gets_no_access_and_no_owner(driver):
    elsewhere = project_run(name="child", project={"uri": "https://git.example.com/other.git"})
    elsewhere["metadata"]["namespace"] = "team-b"

    child = handed_on(elsewhere, driver)

    assert "authSecretRef" not in child["spec"]["project"]
    assert "ownerReferences" not in child["metadata"]


def test_a_packed_project_goes_to_a_child_as_it_is(driver):
    bundle = {"bundle": {"configMapName": "x", "sha256": "0" * 64}}

    assert handed_on(project_run(name="child", project=bundle), driver)["spec"]["project"] == bundle
