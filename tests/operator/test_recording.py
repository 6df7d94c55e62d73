"""What MLflow is to know of a run: the facts, whose they are, and nothing secret."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlp.resources.plan import PlannedBundle, PlannedParameter, PlannedSource
from mlp_operator.runs.recording import (
    TrackedRun,
    TrackingServer,
    abandoned_run,
    annotation_of,
    facts_of,
    server_of,
    told_by,
    wanted_state,
)
from tests.operator.build import COMMIT, plan, project_run

DIGEST = "ab" * 32


def from_bundle(**bundle):
    source = PlannedSource(bundle=PlannedBundle(sha256=DIGEST, **bundle), subdirectory="training")
    return replace(plan(), source=source)


def test_a_run_says_what_was_run():
    facts = facts_of(project_run(), plan(subdirectory="training"))
    assert facts.tags == {
        "mlflow.source.name": "https://git.example.org/wine#training",
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": COMMIT,
        "mlflow.source.git.repoURL": "https://git.example.org/wine",
        "mlflow.source.git.branch": "main",
        "mlflow.project.entryPoint": "main",
        "mlflow.project.backend": "kubernetes",
        "mlp.project.name": "wine",
        "mlp.projectrun.uid": "run-uid",
        "mlp.projectrun.name": "wine",
        "mlp.projectrun.namespace": "team-a",
    }
    assert (facts.uid, facts.experiment, facts.run_name) == ("run-uid", None, "wine")
    assert facts.parameters == {"alpha": "0.5"}


def test_experiment_name_and_tags_are_those_of_the_spec_but_for_whose_run_it_is():
    tags = {"mlflow.parentRunId": "0123", "mlflow.source.name": "mine", "mlp.projectrun.uid": "another's"}
    asked = {"name": "wines", "runName": "first", "tags": [{"name": key, "value": tags[key]} for key in tags]}
    facts = facts_of(project_run(experiment=asked), plan())
    assert (facts.experiment, facts.run_name) == ("wines", "first")
    assert facts.tags["mlflow.parentRunId"] == "0123"
    assert facts.tags["mlflow.source.name"] == "mine"
    assert facts.tags["mlp.projectrun.uid"] == "run-uid"


@pytest.mark.parametrize(
    ("manager", "word"), [("Conda", "conda"), ("Virtualenv", "virtualenv"), ("Image", "docker"), ("Local", None)]
)
def test_environments_have_mlflows_names(manager, word):
    facts = facts_of(project_run(), plan(manager=manager), image="wine:1")
    assert facts.tags.get("mlflow.project.env") == word
    assert facts.tags.get("mlflow.docker.image.uri") == ("wine:1" if manager == "Image" else None)


def test_a_packed_project_is_known_by_its_digest():
    sent, stored = (
        facts_of(project_run(), each).tags
        for each in (from_bundle(), from_bundle(uri="https://store.example.org/wine.tar.gz?sig=s3cret"))
    )
    assert sent["mlflow.source.name"] == f"sha256:{DIGEST}#training"
    assert stored["mlflow.source.name"] == "https://store.example.org/wine.tar.gz?sig=***#training"
    for tags in (sent, stored):
        assert tags["mlp.source.sha256"] == DIGEST
        assert not [name for name in tags if name.startswith("mlflow.source.git")]


def test_parameters_are_recorded_as_they_were_given_and_secret_ones_never():
    def planned(name, value, given=None):
        return PlannedParameter(name=name, type="string", value=value, given=given, source="Spec")

    parameters = (
        planned("data", "/mlp/run/data/data/x.csv", "s3://bucket/x.csv"),
        planned("url", "https://ada:s3cret@example.org/x"),
        planned("password", None),
        planned("token", None, "s3cret"),
        planned("empty", ""),
    )
    facts = facts_of(project_run(), plan(parameters=parameters))
    assert facts.parameters == {"data": "s3://bucket/x.csv", "url": "https://***@example.org/x", "empty": ""}


def test_a_pod_says_whose_run_in_mlflow_it_is():
    run = TrackedRun("http://mlflow", "7", "0123", "RUNNING")
    for server in (TrackingServer("http://mlflow", "mine", own=True), TrackingServer("http://mlflow")):
        pod = {"metadata": {"annotations": {"mlp.dev/mlflow-run": annotation_of(server, run)}}}
        default = None if server.own else "http://mlflow"
        assert abandoned_run(pod, default) == (server, TrackedRun("http://mlflow", "7", "0123", ""))
    assert abandoned_run({"metadata": {}}, None) is None


def test_a_pod_says_for_which_projectrun_it_was_made():
    told = annotation_of(None, TrackedRun("http://mlflow", "7", "0123", ""), uid="run-uid")
    assert told_by({"metadata": {"annotations": {"mlp.dev/mlflow-run": told}}})["projectRun"] == "run-uid"
    assert told_by({"metadata": {"annotations": {"mlp.dev/mlflow-run": '{"projectRun": 7}'}}}) == {}


def test_a_server_that_a_run_names_is_its_own():
    plain, named = project_run(), project_run(tracking={"uri": "http://mine", "secretRef": {"name": "keys"}})
    assert server_of(plain, None, "default") is None
    assert server_of(plain, "http://ours", "default") == TrackingServer("http://ours", "default")
    assert server_of(named, "http://ours", "default") == TrackingServer("http://mine", "keys", own=True)
    assert server_of(named, "http://mine", "default") == TrackingServer("http://mine", "keys")
    keys = project_run(tracking={"secretRef": {"name": "keys"}})
    assert server_of(keys, "http://ours", "default") == TrackingServer("http://ours", "keys")


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (None, "SCHEDULED"),
        ("Preparing", "SCHEDULED"),
        ("Suspended", "SCHEDULED"),
        ("Running", "RUNNING"),
        ("Succeeded", "FINISHED"),
        ("Failed", "FAILED"),
        ("Cancelled", "KILLED"),
    ],
)
def test_phases_have_mlflows_words(phase, state):
    assert wanted_state(phase) == state
