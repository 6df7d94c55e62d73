"""Rows of docs/compatibility.md about records, the Python API and the command line, for whole runs."""

from __future__ import annotations

import json
import uuid

import pytest

import mlp
from mlp.backends.configuration import read_backend_config
from mlp.errors import UsageError
from tests.backends.local.records import records
from tests.cli.program import commit, git, project
from tests.cli.program import mlp as program


@pytest.fixture
def experiment():
    return f"compatibility-{uuid.uuid4().hex}"


@pytest.fixture
def server(mlflow_server):
    """What makes a program record its runs."""
    return {"MLP_TRACKING": "on", "MLFLOW_TRACKING_URI": mlflow_server.uri}


def only(uri, experiment):
    (found,) = records(uri, experiment)
    return found


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([], "No value given for missing parameters: 'data'"),
        (["-P", "data=none.csv"], "Got value none.csv for parameter data, but no such file or directory was found."),
        (["-P", "data=MLproject", "-P", "alpha=much"], "'alpha' got 'much'"),
        (["-e", "validate"], "Could not find validate among entry points ['main']"),
    ],
)
def test_a_mistake_of_the_caller_records_no_run(server, experiment, tmp_path, parameters, message):
    project(tmp_path, "cat {data}", parameters={"data": "path", "alpha": {"type": "float", "default": 1}})

    done = program("run", ".", *parameters, "--experiment-name", experiment, cwd=tmp_path, **server)

    assert done.returncode == 1
    assert message in done.stderr
    assert records(server["MLFLOW_TRACKING_URI"], experiment) == []


def test_a_run_of_a_repository_is_recorded_with_commit_branch_and_address(server, experiment, tmp_path):
    work = project(tmp_path / "work" / "sub", "true").parent
    head = commit(work)
    git(work, "branch", "release")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "wine.git"))
    uri = f"file://{tmp_path}/wine.git"

    for version, branch in (("release", "release"), (head, None)):
        call = ("run", f"'{uri}#sub'", "-v", version, "--experiment-name", experiment)
        assert program(*call, **server).returncode == 0

        tags = records(server["MLFLOW_TRACKING_URI"], experiment)[0].tags
        assert tags["mlflow.source.name"] == f"{uri}#sub"
        assert tags["mlflow.source.git.commit"] == head
        assert tags["mlflow.source.git.repoURL"] == uri
        assert tags.get("mlflow.source.git.branch") == branch


def test_without_an_engine_a_run_in_a_container_says_so(server, experiment, tmp_path):
    project(tmp_path, "true", docker_env={"image": "python:3"})

    done = program("run", tmp_path, "--experiment-name", experiment, **server, MLP_CONTAINER_ENGINE="no-such-engine")

    assert done.returncode == 69
    assert "--env-manager local" in done.stderr
    assert "RUNNING" not in {kept.status for kept in records(server["MLFLOW_TRACKING_URI"], experiment)}


def test_experiment_name_and_run_are_chosen_by_options(server, experiment, tmp_path):
    uri = server["MLFLOW_TRACKING_URI"]
    call = ("run", project(tmp_path, "true"))

    assert program(*call, "--experiment-name", experiment, "--run-name", "first", **server).returncode == 0
    first = only(uri, experiment)
    assert program(*call, "--experiment-id", first.experiment, **server).returncode == 0
    assert [kept.name == "first" for kept in records(uri, experiment)] == [False, True]


def test_variables_choose_the_experiment_too_and_options_come_first(server, experiment, tmp_path):
    uri = server["MLFLOW_TRACKING_URI"]
    call = ("run", project(tmp_path, "true"))

    assert program(*call, **server, MLFLOW_EXPERIMENT_NAME=experiment).returncode == 0
    named = only(uri, experiment)
    # As inside a project, where the ID of its experiment is set.
    other = f"{experiment}-other"
    assert program(*call, "--experiment-name", other, **server, MLFLOW_EXPERIMENT_ID=named.experiment).returncode == 0
    assert len(records(uri, other)) == 1
    unknown = program(*call, "--experiment-id", "987654321", **server)
    assert unknown.returncode == 1
    assert "987654321" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_a_backend_configuration_is_a_mapping_json_or_a_file_and_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("MLP_TRACKING", "off")
    given = {"namespace": "team-a"}
    (tmp_path / "cluster.json").write_text(json.dumps(given))

    for form in (given, json.dumps(given), str(tmp_path / "cluster.json"), tmp_path / "cluster.json"):
        assert read_backend_config(form) == given
    mlp.run(project(tmp_path / "p", "true"), backend_config={})
    with pytest.raises(UsageError, match="Invalid backend config JSON"):
        read_backend_config("{")
    assert given == {"namespace": "team-a"}


def test_parameters_may_be_left_out_in_the_background(tmp_path, monkeypatch):
    monkeypatch.setenv("MLP_TRACKING", "off")

    run = mlp.run(project(tmp_path, "echo done"), parameters=None, synchronous=False)

    assert run.wait()
    assert list(run.logs()) == ["done"]


def test_variables_come_from_the_environment_alone(tmp_path):
    (tmp_path / "settings.env").write_text("COLOUR=red\n")
    (tmp_path / ".env").write_text("COLOUR=red\n")
    project(tmp_path, 'echo "[$COLOUR]"')

    assert program("run", ".", cwd=tmp_path).stdout == "[]\n"
    assert program("--env-file", "settings.env", "run", ".", cwd=tmp_path).returncode == 2
