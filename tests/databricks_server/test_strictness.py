"""What the double refuses: a request that databricks-sdk could not have sent, or that Databricks does not take."""

from __future__ import annotations

import copy

import pytest
import requests

BODY = {
    "run_name": "a run",
    "tasks": [
        {
            "task_key": "main",
            "spark_python_task": {"python_file": "/Workspace/x.py", "parameters": ["a"]},
            "new_cluster": {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0},
        }
    ],
}
GIT = {"git_url": "https://github.com/x/y", "git_provider": "gitHub", "git_commit": "0" * 40}


def changed(path, value):
    """The body with something else in one place; None takes it away."""
    body = copy.deepcopy(BODY)
    *way, last = path
    place = body
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return body


TASK = ("tasks", 0)
CLUSTER = (*TASK, "new_cluster")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("run_nam",), "x", "'run_nam'"),
        (("run_name",), 3, "'run_name'"),
        (("timeout_seconds",), "3", "'timeout_seconds'"),
        (("timeout_seconds",), True, "'timeout_seconds'"),
        (("queue",), {}, "'queue.enabled'"),
        (("queue",), {"enabled": 1}, "'queue.enabled'"),
        (("run_as",), {"user": "ann"}, "'run_as.user'"),
        (("idempotency_token",), "x" * 65, "64"),
        (("tasks",), {}, "'tasks'"),
        (("tasks",), [], "one task"),
        ((*TASK, "task_key"), None, "'tasks[0].task_key'"),
        ((*TASK, "task_key"), "a b", "task_key"),
        ((*TASK, "env_vars"), {}, "'tasks[0].env_vars'"),
        ((*TASK, "spark_python_task", "parameters"), "a", "'tasks[0].spark_python_task.parameters'"),
        ((*TASK, "spark_python_task", "parameters"), [1], "'tasks[0].spark_python_task.parameters[0]'"),
        ((*TASK, "spark_python_task", "parameters"), ["x" * 10_001], "10000"),
        ((*TASK, "spark_python_task", "source"), "git", "'tasks[0].spark_python_task.source'"),
        ((*TASK, "spark_python_task", "python_file"), "x.py", "x.py"),
        ((*CLUSTER, "num_worker"), 1, "'tasks[0].new_cluster.num_worker'"),
        ((*CLUSTER, "spark_env_vars"), {"A": 1}, "'tasks[0].new_cluster.spark_env_vars.A'"),
        ((*CLUSTER, "spark_version"), None, "spark_version"),
        ((*CLUSTER, "node_type_id"), None, "node_type_id"),
        ((*CLUSTER, "ENV_MANAGER"), "local", "'tasks[0].new_cluster.ENV_MANAGER'"),
        ((*TASK, "existing_cluster_id"), "x", "exactly one"),
        (CLUSTER, None, "environment_key"),
        ((*TASK, "libraries"), [{"pip": {}}], "'tasks[0].libraries[0].pip'"),
        ((*TASK, "libraries"), [{"pypi": {}}], "'tasks[0].libraries[0].pypi.package'"),
        (("git_source",), GIT | {"git_provider": "github"}, "'git_source.git_provider'"),
        (("git_source",), GIT | {"git_branch": "main"}, "exactly one"),
        (("git_source",), GIT, "source GIT"),
    ],
)
def test_a_body_that_is_wrong_in_one_place_is_refused_and_the_place_named(databricks, path, value, named):
    answer = post(databricks, "runs/submit", changed(path, value))

    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert named in answer.json()["message"]
    assert databricks.runs() == []


def test_the_body_is_right_otherwise(databricks):
    databricks.script("a run", "SUCCESS")

    assert post(databricks, "runs/submit", BODY).status_code == 200
    assert post(databricks, "runs/submit", BODY, version="2.1").status_code == 200


def test_what_is_no_json_or_no_call_is_refused(databricks):
    assert post(databricks, "runs/cancel", {"run": 3}).status_code == 400
    assert post(databricks, "runs/start", {}).json()["error_code"] == "ENDPOINT_NOT_FOUND"
    assert post(databricks, "runs/submit", None).json()["error_code"] == "MALFORMED_REQUEST"


def post(databricks, call, body, *, version="2.2"):
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{databricks.url}/api/{version}/jobs/{call}",
            **({"json": body} if body is not None else {"data": "{"}),
            headers={"Authorization": f"Bearer {databricks.token}"},
            timeout=60,
        )
