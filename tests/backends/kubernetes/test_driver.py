"""What a run that starts further runs hands on to them."""

from __future__ import annotations

import pytest

from mlp.backends.kubernetes.configuration import merged
from mlp.backends.kubernetes.driver import Driver
from mlp.resources import ProjectRun
from tests.resources.manifests import EVERYTHING, project_run
from tests.source.repositories import create

SECRET = {"authSecretRef": {"name": "git"}}


def driver(*, status=None, **spec):
    run = project_run(name="tuning", **spec)
    run["metadata"] |= {"namespace": "team-a", "uid": "u-1"}
    return Driver({**run, "status": status or {}})


def test_its_runs_are_recorded_where_it_is_and_reach_what_it_reached():
    found = driver(**EVERYTHING)

    assert found.spec() == {
        "tracking": {"uri": "http://mlflow.mlflow:5000", "secretRef": {"name": "mlflow-creds"}},
        "experiment": {"name": "wine"},
        "data": {"secretRef": {"name": "aws"}},
        "environment": {"cache": {"policy": "Refresh", "volumeClaimName": "mlp-envs"}},
        "backend": {"kubernetes": {"imagePullSecrets": [{"name": "registry"}]}},
        "queueName": "team-a-queue",
        "queuePriorityClassName": "prod",
    }
    ProjectRun.parse({**project_run(), "spec": merged(project_run()["spec"], found.spec())})


def test_a_driver_that_says_nothing_hands_nothing_on():
    assert driver().spec() == {}


def test_its_runs_go_when_it_is_deleted():
    assert driver().owner_reference() == {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "name": "tuning",
        "uid": "u-1",
        "blockOwnerDeletion": False,
    }


def test_its_place_in_mlflow_is_what_the_operator_has_written():
    known = driver(status={"mlflow": {"runId": "r", "experimentId": "7", "uri": "http://mlflow:5000"}})

    assert (known.mlflow_run_id, known.experiment_id, known.tracking_uri) == ("r", "7", "http://mlflow:5000")
    assert (driver().mlflow_run_id, driver().experiment_id, driver().tracking_uri) == (None, None, None)


@pytest.fixture
def repository(tmp_path):
    made = create(tmp_path / "team")
    made.commit({"tuning/MLproject": "", "other/MLproject": "", "README": ""})
    return made


def of(repository, uri="https://git.example.com/team", commit=None, **project):
    head = commit or repository.git("rev-parse", "HEAD")
    return driver(project={"uri": uri, **project}, status={"source": {"commit": head}})


@pytest.mark.parametrize(
    ("directory", "subdirectory"),
    [("tuning", {"subdirectory": "tuning"}), ("other", {"subdirectory": "other"}), ("", {})],
)
def test_its_own_project_is_named_by_repository_and_commit(repository, directory, subdirectory):
    found = of(repository, "https://git.example.com/team#tuning", lfs=True, submodules=False, **SECRET)

    assert found.project_in(repository.path / directory) == {
        "uri": "https://git.example.com/team",
        "version": repository.git("rev-parse", "HEAD"),
        **subdirectory,
        **SECRET,
        "submodules": False,
        "lfs": True,
    }


def test_another_version_of_its_own_project_comes_from_the_same_repository(repository):
    (repository.path / "README").write_text("changed")

    assert of(repository).project_in(repository.path, "v2") == {"uri": "https://git.example.com/team", "version": "v2"}


def test_what_it_has_changed_is_not_the_commit(repository):
    (repository.path / "README").write_text("changed")

    assert of(repository).project_in(repository.path) is None


def test_what_lies_elsewhere_is_not_its_project(repository, tmp_path):
    other = create(tmp_path / "other")
    other.commit({"MLproject": "x"})

    assert of(repository).project_in(other.path) is None
    assert of(repository).project_in(tmp_path) is None


def test_a_project_that_came_as_an_archive_has_no_repository(repository):
    bundle = {"configMapName": "wine", "sha256": "0" * 64}

    assert driver(project={"bundle": bundle}).project_in(repository.path) is None


def test_its_credentials_are_for_its_own_repository_alone():
    found = driver(project={"uri": "https://git.example.com/team#tuning", **SECRET})

    assert found.access_to("https://git.example.com/team#other") == SECRET
    assert found.access_to("https://git.example.com/others") == {}
