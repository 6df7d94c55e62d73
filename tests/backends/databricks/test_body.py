"""What is sent for a task is what the Jobs API takes, and says what was asked for."""

import copy
import json

import pytest

from mlp.backends.databricks.body import LONGEST_ASSIGNMENT, Uploaded, assignment_json, submission
from mlp.backends.databricks.task import Assignment, Compute, GitProject
from mlp.errors import UsageError
from tests.backends.databricks.tasks import NEW_CLUSTER, assert_is_a_submission, task

PLACES = Uploaded(
    bootstrap="/Workspace/Users/me/.mlp/bootstrap.py",
    runtime="/Workspace/Users/me/.mlp/mlp.whl",
    project="/Workspace/Users/me/.mlp/project.tar.gz",
)
POLARS = {"pypi": {"package": "polars"}}
GIT = GitProject(
    uri="https://github.com/a/b",
    provider="gitHub",
    commit="c" * 40,
    python_file="sub/train.py",
    arguments=("--alpha", "0.5 $HOME 'x'"),
)


def sent(**given):
    body = submission(task(**given), places=None if isinstance(given.get("project"), GitProject) else PLACES)
    assert_is_a_submission(copy.deepcopy(body))
    json.dumps(body)
    return body


def program(body):
    (only,) = body["tasks"]
    return only["spark_python_task"]


def test_a_packed_project_is_run_by_the_bootstrap_which_is_told_everything():
    body = sent()
    assert body["run_name"] == "a run"
    assert body["idempotency_token"] == "uid-1"
    assert body["queue"] == {"enabled": True}
    assert body["tasks"][0]["new_cluster"] == NEW_CLUSTER
    assert program(body)["python_file"] == PLACES.bootstrap
    *told, assignment = program(body)["parameters"]
    assert told == [
        "--bootstrap-version", "1", "--runtime", PLACES.runtime, "--project", PLACES.project, "--assignment",
    ]  # fmt: skip
    assert json.loads(assignment)["directory"] == "/tmp/mlp-run"


def test_an_assignment_in_a_file_is_named():
    places = Uploaded(bootstrap="/b", runtime="/r", project="/p", assignment="/Workspace/a.json")
    body = submission(task(), places=places)
    assert program(body)["parameters"][-2:] == ["--assignment-file", "/Workspace/a.json"]


@pytest.mark.parametrize("value", ["{{job.run_id}}", "{{{{", "é{{\n'\"\\", "}}{{{"])
def test_databricks_finds_nothing_to_replace_in_an_assignment(value):
    assignment = Assignment(directory="/d", parameters={value: value})
    text = assignment_json(assignment)
    assert "{{" not in text
    assert text.isascii()
    assert json.loads(text)["parameters"] == {value: value}


def test_an_assignment_has_every_field_of_its_own_name():
    assignment = Assignment(
        directory="/d",
        subdirectory="s",
        entry_point="e",
        parameters={"a": "b"},
        manager="local",
        validate=False,
        tracking_uri="databricks",
        run_id="r",
        experiment_id="7",
        variables={"X": "y"},
    )
    assert Assignment(**json.loads(assignment_json(assignment))) == assignment
    assert len(assignment_json(assignment)) < LONGEST_ASSIGNMENT


def test_limits_and_identity_are_those_of_the_run():
    body = sent(timeout_seconds=60, run_as={"service_principal_name": "abc"})
    assert body["timeout_seconds"] == 60
    assert body["run_as"] == {"service_principal_name": "abc"}
    assert "timeout_seconds" not in sent()
    assert "run_as" not in sent()


def test_libraries_are_passed_on_as_they_stand():
    jar = {"jar": "dbfs:/a.jar"}
    assert sent(compute=Compute(new_cluster=NEW_CLUSTER, libraries=(POLARS, jar)))["tasks"][0]["libraries"] == [
        POLARS,
        jar,
    ]
    body = sent(compute=Compute(existing_cluster_id="a", libraries=(POLARS,)))
    assert body["tasks"][0]["existing_cluster_id"] == "a"
    assert body["tasks"][0]["libraries"] == [POLARS]


def test_serverless_compute_gets_an_environment_of_its_own():
    body = sent(compute=Compute(serverless=True, libraries=(POLARS,)))
    assert body["environments"] == [
        {"environment_key": "default", "spec": {"environment_version": "4", "dependencies": ["polars"]}}
    ]
    assert body["tasks"][0]["environment_key"] == "default"
    assert "libraries" not in body["tasks"][0]
    plain = sent(compute=Compute(serverless=True, environment_version="3"))
    assert plain["environments"][0]["spec"] == {"environment_version": "3"}


def test_an_environment_whose_python_is_too_old_is_refused_before_anything_is_sent():
    with pytest.raises(UsageError, match=r"Version 1 .* 2 or later"):
        sent(compute=Compute(serverless=True, environment_version="1"))


@pytest.mark.parametrize("version", ["7.3.x-scala2.12", "14.3.x-cpu-ml-scala2.12", "9.x"])
def test_a_runtime_whose_python_is_too_old_is_refused_before_anything_is_sent(version):
    cluster = {**NEW_CLUSTER, "spark_version": version}
    with pytest.raises(UsageError, match=r"Runtime \d+(\.\d)? has a Python before 3\.11.* 15\.4 LTS or later"):
        sent(compute=Compute(new_cluster=cluster))
    own = {**cluster, "docker_image": {"url": "python:3.12"}}
    assert sent(compute=Compute(new_cluster=own))["tasks"][0]["new_cluster"] == own


@pytest.mark.parametrize("version", ["15.4.x-scala2.12", "18.0.x-scala2.13", "custom:release__14.3.x", "auto", None])
def test_a_runtime_that_may_do_is_left_to_databricks(version):
    cluster = {**NEW_CLUSTER, "spark_version": version}
    if version is None:
        del cluster["spark_version"]  # a policy says it
    assert sent(compute=Compute(new_cluster=cluster))["tasks"][0]["new_cluster"] == cluster


def test_the_users_own_tags_win_and_nothing_of_the_users_is_changed():
    cluster = {**NEW_CLUSTER, "custom_tags": {"team": "mine"}}
    body = sent(compute=Compute(new_cluster=cluster), tags={"team": "ours", "run": "r"})
    assert body["tasks"][0]["new_cluster"]["custom_tags"] == {"team": "mine", "run": "r"}
    assert cluster["custom_tags"] == {"team": "mine"}
    with pytest.raises(UsageError, match="new cluster"):
        sent(compute=Compute(existing_cluster_id="a"), tags={"run": "r"})


def test_a_project_from_git_is_the_repositorys_own_file():
    body = sent(project=GIT)
    assert body["git_source"] == {
        "git_url": "https://github.com/a/b",
        "git_provider": "gitHub",
        "git_commit": "c" * 40,
    }
    assert program(body) == {
        "python_file": "sub/train.py",
        "parameters": ["--alpha", "0.5 $HOME 'x'"],
        "source": "GIT",
    }
    assert sent(project=GIT, compute=Compute(serverless=True))["git_source"] == body["git_source"]


def test_a_project_from_git_finds_its_mlflow_run_by_variables_of_its_cluster():
    assignment = Assignment(
        directory="/d", tracking_uri="databricks", run_id="r", experiment_id="7", variables={"A": "1", "B": "2"}
    )
    cluster = {**NEW_CLUSTER, "spark_env_vars": {"B": "mine"}}
    body = sent(project=GIT, compute=Compute(new_cluster=cluster), assignment=assignment)
    assert body["tasks"][0]["new_cluster"]["spark_env_vars"] == {
        "A": "1",
        "B": "mine",
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_RUN_ID": "r",
        "MLFLOW_EXPERIMENT_ID": "7",
    }
    assert "spark_env_vars" not in sent(assignment=assignment)["tasks"][0]["new_cluster"]
    with pytest.raises(UsageError, match="new cluster"):
        sent(project=GIT, compute=Compute(existing_cluster_id="a"), assignment=assignment)


@pytest.mark.parametrize(
    ("project", "assignment", "named"),
    [
        ({"python_file": ""}, {}, "a command"),
        ({"python_file": "/etc/x.py"}, {}, "/etc/x.py"),
        ({"python_file": "a/../../x.py"}, {}, r"\.\./x\.py"),
        ({"python_file": "train.sh"}, {}, r"train\.sh"),
        ({"arguments": ("{{job.id}}",)}, {}, "double braces"),
        ({}, {"manager": "conda"}, "conda"),
    ],
)
def test_what_the_workspace_cannot_run_from_git_is_refused_with_the_way_out(project, assignment, named):
    changed = GitProject(
        **{
            "uri": GIT.uri,
            "provider": GIT.provider,
            "commit": GIT.commit,
            "python_file": GIT.python_file,
            **project,
        }
    )
    with pytest.raises(UsageError, match=f"{named}.*Archive"):
        sent(project=changed, assignment=Assignment(directory="/d", **assignment))
