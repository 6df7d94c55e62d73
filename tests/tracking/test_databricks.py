"""Tracking URIs that mean a Databricks workspace. Its MLflow API is the open one behind other credentials, so a real
MLflow server behind a proxy that asks for those stands for it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid

import pytest

from mlp.errors import TrackingDenied, UsageError
from mlp.tracking import RunRecord, connect
from tests.servers.guarded_proxy import Mishap

TOKEN = "dapi-0123%4567"
BASIC = "Basic " + base64.b64encode(b"ada:s3cr3t%").decode()

CONFIGURATION = "/.well-known/databricks-config"
"""What the SDK asks a workspace first; an old one has nothing to say there."""
NO_CONFIGURATION = Mishap(on=CONFIGURATION, status=200, headers={"Content-Type": "application/json"}, text="{}")


@pytest.fixture
def workspace(proxy):
    proxy.authorization = f"Bearer {TOKEN}"
    return proxy


@pytest.fixture
def profiles(home, workspace):
    text = f"""\
[DEFAULT]
host = {workspace.url}/
token = {TOKEN}

[basic]
host = {workspace.url}
username = ada
password = s3cr3t%

[m2m]
host = {workspace.url}
client_id = robot
client_secret = s3cr3t%
"""
    (home / ".databrickscfg").write_text(text)


def life(tracking):
    """Begin a run and end it; what its command gets to know."""
    record = RunRecord.begin(tracking, experiment_id=tracking.experiment(name=f"/Users/ada/{uuid.uuid4().hex}"))
    assert record.finish("FINISHED") == tracking.get_run(record.run_id).info.status == "FINISHED"
    tracking.close()
    run = {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"}
    variables = record.environment()
    assert run <= variables.keys()
    return {name: value for name, value in variables.items() if name not in run}


def test_host_and_token_come_from_the_environment(workspace, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    monkeypatch.setenv("DATABRICKS_HOST", workspace.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    assert life(connect()) == {
        "MLFLOW_TRACKING_URI": "databricks",
        "DATABRICKS_HOST": workspace.url,
        "DATABRICKS_TOKEN": TOKEN,
    }


def test_the_variables_that_a_command_gets_let_mlflow_in(workspace, mlflow, monkeypatch):
    monkeypatch.setenv("DATABRICKS_HOST", workspace.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    tracking = connect("databricks")
    record = RunRecord.begin(tracking, experiment_id="0")
    workspace.mishaps += [NO_CONFIGURATION] * 3
    code = "answer = mlflow.MlflowClient().get_run(run_id).info.status"
    assert mlflow.run(code, variables=record.environment(), run_id=record.run_id) == "RUNNING"
    assert record.finish("FINISHED") == "FINISHED"
    tracking.close()


@pytest.mark.usefixtures("profiles")
def test_without_variables_the_default_profile_counts(workspace):
    assert life(connect("databricks")) == {
        "MLFLOW_TRACKING_URI": "databricks",
        "DATABRICKS_HOST": f"{workspace.url}/",
        "DATABRICKS_TOKEN": TOKEN,
    }


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize("by_variable", [True, False])
def test_a_profile_that_is_named_counts_alone(workspace, monkeypatch, by_variable):
    workspace.authorization = BASIC
    if by_variable:
        monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "basic")
    assert life(connect("databricks" if by_variable else "databricks://basic")) == {
        "MLFLOW_TRACKING_URI": "databricks",
        "DATABRICKS_HOST": workspace.url,
        "DATABRICKS_USERNAME": "ada",
        "DATABRICKS_PASSWORD": "s3cr3t%",
    }


@pytest.mark.usefixtures("profiles")
def test_a_file_of_profiles_can_lie_elsewhere(home, monkeypatch):
    (home / ".databrickscfg").rename(home / "profiles")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(home / "profiles"))
    assert life(connect("databricks"))["DATABRICKS_TOKEN"] == TOKEN


@pytest.mark.usefixtures("profiles")
def test_a_profile_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"no profile 'other' in .*databrickscfg. It has: DEFAULT, basic, m2m\."):
        connect("databricks://other")


def test_a_file_of_profiles_that_cannot_be_read_is_named_and_not_shown(home):
    (home / ".databrickscfg").write_text("token = s3cr3t")
    with pytest.raises(UsageError, match=r"databrickscfg cannot be read as a file of Databricks profiles") as told:
        connect("databricks")
    assert "s3cr3t" not in str(told.value)


@pytest.mark.usefixtures("profiles")
def test_other_kinds_of_credentials_are_left_to_the_sdk(workspace):
    endpoints = {
        "authorization_endpoint": f"{workspace.url}/oidc/v1/authorize",
        "token_endpoint": f"{workspace.url}/oidc/v1/token",
    }
    made = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}
    plain = {"Content-Type": "application/json"}
    workspace.mishaps += [
        *[Mishap(on="/oidc/.well-known/", status=200, headers=plain, text=json.dumps(endpoints))] * 3,
        *[Mishap(on="/oidc/v1/token", status=200, headers=plain, text=json.dumps(made))] * 3,
        Mishap(
            on=CONFIGURATION, status=200, headers=plain, text=json.dumps({"oidc_endpoint": f"{workspace.url}/oidc"})
        ),
    ]
    assert life(connect("databricks://m2m")) == {
        "MLFLOW_TRACKING_URI": "databricks",
        "DATABRICKS_HOST": workspace.url,
        "DATABRICKS_CLIENT_ID": "robot",
        "DATABRICKS_CLIENT_SECRET": "s3cr3t%",
    }


def test_without_credentials_the_sdks_reasons_are_shown(monkeypatch, workspace):
    workspace.mishaps += [NO_CONFIGURATION] * 3
    monkeypatch.setenv("DATABRICKS_HOST", workspace.url)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(TrackingDenied, match=r"Databricks credentials for the tracking URI 'databricks' do not work: "):
        connect("databricks")


def test_without_the_sdk_the_error_names_it():
    code = (
        "import sys; sys.modules['databricks'] = None\n"
        "from mlp.tracking import connect\n"
        "try:\n    connect('databricks')\nexcept Exception as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("TrackingError The tracking URI 'databricks' needs credentials: a token")
    assert "pip install 'mlp-operator[databricks]'" in done.stdout


@pytest.mark.usefixtures("profiles")
def test_a_token_that_is_refused_is_not_shown(workspace):
    workspace.authorization = "Bearer other"
    with pytest.raises(TrackingDenied, match=r"does not allow this with the credentials that it got \(401\)") as told:
        life(connect("databricks"))
    assert TOKEN not in str(told.value)


@pytest.mark.usefixtures("profiles")
def test_a_workspace_has_no_default_experiment():
    with pytest.raises(UsageError, match=r"databricks has no default experiment: .*--experiment-name /Users/"):
        RunRecord.begin(connect("databricks"))


@pytest.mark.parametrize("uri", ["databricks:/x", "databricks://", "databricks:profile", "databricks:///"])
def test_a_malformed_uri_is_refused(uri):
    with pytest.raises(UsageError, match=r"is malformed: write `databricks`, or `databricks://profile`"):
        connect(uri)


def test_a_secret_scope_is_for_clusters_of_databricks():
    with pytest.raises(UsageError, match=r"names a secret scope, which only a Databricks cluster can read"):
        connect("databricks://scope:prefix")
