from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from mlp.errors import UsageError
from mlp.resources import (
    Condition,
    KubernetesStatus,
    ProjectRun,
    ProjectRunStatus,
    ProjectStatus,
    SourceStatus,
    StepStatus,
)
from tests.resources.manifests import ACCEPTED, DATABRICKS, EVERYTHING, REFUSED, Refused, project_run

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepts(manifest):
    assert ProjectRun.parse(manifest).name == manifest["metadata"]["name"]


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(refused: Refused):
    with pytest.raises(UsageError) as caught:
        ProjectRun.parse(refused.manifest)

    assert any(line.startswith(f"{refused.field or 'the object'}: ") for line in str(caught.value).splitlines())
    assert (refused.message or "") in str(caught.value)


@pytest.mark.parametrize("spec", [EVERYTHING, DATABRICKS], ids=["Kubernetes", "Databricks"])
def test_a_spec_is_the_same_after_reading_and_writing(spec):
    written = ProjectRun.parse(project_run(**spec)).spec.model_dump(mode="json", by_alias=True, exclude_unset=True)

    assert written == spec


def test_defaults_are_those_of_the_schema():
    spec = ProjectRun.parse(project_run()).spec

    assert spec.to_dict() == {
        "project": {
            "uri": "https://github.com/mlflow/mlflow-example",
            "entryPoint": "main",
            "subdirectory": "",
            "submodules": True,
            "lfs": False,
        },
        "environment": {"manager": "Auto"},
        "backend": {"type": "Kubernetes"},
        "suspend": False,
        "backoffLimit": 0,
    }


def test_an_object_that_no_operator_has_seen_says_so():
    assert ProjectRun.parse(project_run()).status.to_dict() == {"observedGeneration": -1, "phase": "Pending"}


def test_metadata_of_the_api_server_is_read_and_what_is_not_ours_passed_over():
    manifest = project_run()
    manifest["metadata"] |= {
        "namespace": "team-a",
        "uid": "4c3a",
        "generation": 2,
        "creationTimestamp": "2026-01-02T12:00:00Z",
        "deletionTimestamp": "2026-01-02T12:00:01Z",
        "managedFields": [{"manager": "kubectl"}],
        "selfLink": "/x",
    }

    run = ProjectRun.parse(manifest)

    assert (run.namespace, run.uid, run.metadata.generation) == ("team-a", "4c3a", 2)
    assert run.created == NOON
    assert run.being_deleted


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"project": {"entrypoint": "x"}}, "spec.project.entrypoint: unknown field; did you mean entryPoint?"),
        ({"project": {"entry_point": "x"}}, "spec.project.entry_point: unknown field; did you mean entryPoint?"),
        ({"version": "main"}, "spec.version: unknown field; did you mean spec.project.version?"),
        ({"zzz": 1}, "spec.zzz: unknown field"),
        ({"parameters": [{"name": "a", "value": 0.5}]}, 'spec.parameters[0].value: must be a string; write "0.5"'),
        ({"parameters": [{"name": "a", "value": True}]}, 'spec.parameters[0].value: must be a string; write "true"'),
        ({"parameters": {"a": "1"}}, "spec.parameters: must be a list"),
        ({"parameters": ["a=1"]}, "spec.parameters[0]: must be an object"),
        (
            {"parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
            "spec.parameters: 'a' stands there twice; each name may be given once",
        ),
        (
            {"environment": {"manager": "conda"}},
            "spec.environment.manager: must be 'Auto', 'Conda', 'Virtualenv', 'Local' or 'Image'; did you mean Conda?",
        ),
        (
            {"project": {"entryPoint": "e" * 1025}},
            "spec.project.entryPoint: may have 1024 characters at most, and has 1025",
        ),
        ({"project": {"authSecretRef": {}}}, "spec.project.authSecretRef.name: required"),
        ({"backoffLimit": -1}, "spec.backoffLimit: input should be greater than or equal to 0"),
        (
            {"backend": {"kubernetes": {"resources": {"limits": {"cpu": 0.5}}}}},
            'spec.backend.kubernetes.resources.limits.cpu: must be an amount such as 2, 500m or 4Gi; write "0.5"',
        ),
    ],
)
def test_a_mistake_is_named_by_its_path_and_with_the_way_out(spec, message):
    manifest = project_run()
    project = {**manifest["spec"]["project"], **spec.get("project", {})}
    manifest["spec"] |= {**spec, "project": project}

    with pytest.raises(UsageError) as caught:
        ProjectRun.parse(manifest)

    assert str(caught.value) == message


def test_every_mistake_is_named_at_once():
    manifest = project_run(backoffLimit="1", suspend="no", parameters=[{"name": "a", "value": 1}])

    with pytest.raises(UsageError) as caught:
        ProjectRun.parse(manifest)

    assert str(caught.value).splitlines() == [
        'spec.parameters[0].value: must be a string; write "1"',
        "spec.suspend: must be true or false",
        "spec.backoffLimit: must be a whole number",
    ]


def test_another_kind_is_refused():
    with pytest.raises(UsageError, match="kind: must be 'ProjectRun'"):
        ProjectRun.parse({**project_run(), "kind": "Job"})


def test_a_password_is_not_repeated():
    manifest = project_run(project={"uri": "https://ann:hunter2@git.example.org/a"})

    with pytest.raises(UsageError) as caught:
        ProjectRun.parse(manifest)

    assert "hunter2" not in str(caught.value)


def test_a_status_survives_a_round_trip_through_the_api_server():
    status = ProjectRunStatus(
        observed_generation=1,
        phase="Running",
        start_time=NOON + timedelta(milliseconds=250),
        source=SourceStatus(commit="a" * 40, version="main"),
        project=ProjectStatus(name="wine", entry_point="main", command="python train.py"),
        kubernetes=KubernetesStatus(job_name="wine", job_uid="4c3a"),
        steps=(StepStatus(name="clone", state="Succeeded", start_time=NOON),),
        conditions=(Condition(type="Succeeded", status="Unknown", reason="Running", last_transition_time=NOON),),
    )

    written = status.to_dict()

    assert written["startTime"] == "2026-01-02T12:00:00Z"
    assert written["steps"] == [{"name": "clone", "state": "Succeeded", "startTime": "2026-01-02T12:00:00Z"}]
    assert "completionTime" not in written
    assert ProjectRun.parse({**project_run(), "status": written}).status == status


def test_times_are_in_utc_whatever_zone_they_come_in():
    there = datetime(2026, 1, 2, 14, 0, 0, tzinfo=timezone(timedelta(hours=2)))

    assert ProjectRunStatus(start_time=there).to_dict() == {"startTime": "2026-01-02T12:00:00Z"}


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValidationError, match="a time needs a zone"):
        ProjectRunStatus(start_time=datetime(2026, 1, 2, 12, 0, 0))  # noqa: DTZ001 -- the mistake under test


def test_a_status_of_a_newer_operator_is_read():
    run = ProjectRun.parse({**project_run(), "status": {"observedGeneration": 1, "novelty": {"a": 1}}})

    assert run.status.observed_generation == 1


@pytest.mark.parametrize(
    ("succeeded", "finished"), [("True", True), ("False", True), ("Unknown", False), (None, False)]
)
def test_a_run_is_finished_when_its_outcome_is_known(succeeded, finished):
    conditions = [
        {"type": "Succeeded", "status": succeeded, "reason": "R", "lastTransitionTime": "2026-01-02T12:00:00Z"}
    ]
    run = ProjectRun.parse({**project_run(), "status": {"conditions": conditions if succeeded else []}})

    assert run.finished is finished
