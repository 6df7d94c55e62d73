"""Which store is meant, and stores that only the mlflow package can reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import certifi
import charset_normalizer
import idna
import pytest
import requests
import urllib3

import mlp
from mlp.errors import TrackingError, UsageError
from mlp.tracking import connect, get_run
from mlp.tracking.package import PackageTracking

LIFE = """
from mlp.tracking import RunRecord, connect
tracking = connect(uri)
record = RunRecord.begin(
    tracking,
    experiment_id=tracking.experiment(name="wine"),
    run_name="first",
    tags={"mlp.project.name": "wine"},
    parameters={"alpha": "a b;", "bad;key": "1", "long": "x" * 7000},
)
variables = record.environment()
"""
SEEN = "answer = mlflow.MlflowClient(tracking_uri=uri).get_run(run_id).to_dictionary()"


def test_without_a_uri_the_store_is_the_one_of_mlflow(mlflow, tmp_path):
    for directory in (tmp_path / "empty", tmp_path / "größe & co"):
        directory.mkdir()
        os.chdir(directory)
        assert connect().uri == mlflow.run("answer = mlflow.get_tracking_uri()", directory=directory)


def test_without_a_uri_a_directory_with_runs_is_the_store_as_for_mlflow(mlflow, tmp_path):
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    assert connect().uri.startswith("sqlite:///")
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    assert (
        connect().uri
        == mlflow.run("answer = mlflow.get_tracking_uri()", directory=tmp_path)
        == f"file://{tmp_path}/mlruns"
    )


def test_the_environment_names_the_store(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri + "/")
    assert connect().uri == uri


def test_tracking_can_be_switched_off(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLP_TRACKING", "off")
    assert connect() is None
    assert connect(uri).uri == uri
    monkeypatch.setenv("MLP_TRACKING", "on")
    assert connect().uri == uri
    monkeypatch.setenv("MLP_TRACKING", "maybe")
    with pytest.raises(UsageError, match=r"MLP_TRACKING is 'maybe': it can be 'on' or 'off'\."):
        connect()


@pytest.fixture(scope="session")
def new_database(mlflow, tmp_path_factory):
    """A database as MLflow makes it, which takes seconds."""
    directory = tmp_path_factory.mktemp("database")
    mlflow.run("mlflow.MlflowClient('sqlite:///mlflow.db').search_experiments()", directory=directory)
    return directory / "mlflow.db"


@pytest.fixture
def database(new_database, tmp_path):
    """The default store of the directory, without runs."""
    shutil.copy(new_database, tmp_path)


@pytest.mark.parametrize("given", ["sqlite:///runs.db", None])
def test_a_database_of_sqlite_has_the_whole_life_of_a_run(mlflow, tmp_path, new_database, given):
    if given is None:
        shutil.copy(new_database, tmp_path)
    elsewhere = tmp_path / "project"
    elsewhere.mkdir()
    code = LIFE + "answer = [record.run_id, record.run_name, record.experiment_id, variables, record.finish('FAILED')]"
    code += "\nfrom mlp.tracking import log_metrics; log_metrics(record.run_id, {'rmse': 0.5}, uri)"
    run_id, run_name, experiment, variables, status = mlflow.run(code, uri=given, directory=tmp_path)
    assert (run_name, status) == ("first", "FAILED")
    assert variables["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/{'runs.db' if given else 'mlflow.db'}"
    assert (variables["MLFLOW_RUN_ID"], variables["MLFLOW_EXPERIMENT_ID"]) == (run_id, experiment)
    # The project's command runs in another directory.
    run = mlflow.run(SEEN, uri=variables["MLFLOW_TRACKING_URI"], run_id=run_id, directory=elsewhere)
    assert run["info"]["status"] == "FAILED"
    assert run["info"]["end_time"] is not None
    assert run["info"]["artifact_uri"].startswith(f"{tmp_path}/")
    assert run["data"]["params"].keys() == {"alpha", "long"}
    assert run["data"]["params"]["alpha"] == "a b;"
    assert run["data"]["params"]["long"].endswith("... [cut: 7,000 characters]")
    assert run["data"]["tags"]["mlp.project.name"] == "wine"
    assert run["data"]["metrics"] == {"rmse": 0.5}
    assert not list(elsewhere.iterdir())


@pytest.mark.usefixtures("database")
def test_the_projects_code_resumes_a_run_of_a_database(mlflow, tmp_path):
    code = (
        LIFE
        + """
import os
os.environ.update(variables)
with mlflow.start_run() as run:
    mlflow.log_metric("m", 1.5, step=1)
    mlflow.log_metric("m", 0.5, step=2)
    mlflow.log_text("hello", "notes/a.txt")
kept = record.finish("FAILED")
again = RunRecord.begin(tracking, run_id=record.run_id, tags={"second": "yes"})
resumed = tracking.get_run(record.run_id).info.status
again.finish("KILLED")
found = tracking.search_runs([record.experiment_id], "metrics.m < 1", order_by=["metrics.m ASC"])
import mlp.tracking as reading
answer = {
    "same": run.info.run_id == record.run_id == found[0].info.run_id,
    "kept": kept,
    "resumed": resumed,
    "ended": reading.get_run(record.run_id).info.status,
    "second": reading.get_run(record.run_id).data.tags["second"],
    "history": [[metric.step, metric.value] for metric in reading.get_metric_history(record.run_id, "m")],
    "files": [[file.path, file.is_dir, file.file_size] for file in reading.list_artifacts(record.run_id, "notes")],
}
"""
    )
    assert mlflow.run(code, uri=None, directory=tmp_path) == {
        "same": True,
        "kept": "FINISHED",
        "resumed": "RUNNING",
        "ended": "KILLED",
        "second": "yes",
        "history": [[1, 1.5], [2, 0.5]],
        "files": [["notes/a.txt", False, 5]],
    }


@pytest.mark.usefixtures("database")
def test_many_runs_at_once_share_a_database(mlflow, tmp_path):
    code = """
from concurrent.futures import ThreadPoolExecutor
from mlp.tracking import RunRecord, connect
tracking = connect()
def live(number):
    experiment = tracking.experiment(name="many")
    record = RunRecord.begin(tracking, experiment_id=experiment, parameters={"number": str(number)})
    return record.finish("FINISHED")
with ThreadPoolExecutor(24) as pool:
    ended = set(pool.map(live, range(24)))
found = tracking.search_runs([tracking.experiment(name="many")])
numbers = sorted(int(run.data.params["number"]) for run in found)
answer = [list(ended), numbers, list({run.info.status for run in found})]
"""
    assert mlflow.run(code, directory=tmp_path) == [["FINISHED"], list(range(24)), ["FINISHED"]]


@pytest.mark.usefixtures("database")
def test_a_database_that_another_process_writes_to_is_waited_for(mlflow, tmp_path):
    code = (
        LIFE
        + """
import sqlite3, threading
writer = sqlite3.connect("mlflow.db", isolation_level=None, check_same_thread=False)
writer.execute("BEGIN EXCLUSIVE")
# Longer than SQLite itself waits.
threading.Timer(6, lambda: writer.execute("ROLLBACK")).start()
answer = [record.finish("KILLED"), tracking.get_run(record.run_id).info.status]
writer.close()
"""
    )
    assert mlflow.run(code, uri="sqlite:///mlflow.db", directory=tmp_path) == ["KILLED", "KILLED"]


@pytest.mark.usefixtures("database")
def test_a_database_refuses_as_a_server_does(mlflow, tmp_path):
    code = """
from mlp.errors import TrackingError
from mlp.tracking import RunRecord, connect
tracking = connect()
answer = []
for asked in (lambda: tracking.experiment(experiment_id="987"), lambda: tracking.get_run("0" * 32)):
    try:
        asked()
    except TrackingError as error:
        answer.append(type(error).__name__)
gone = tracking.experiment(name="gone")
mlflow.MlflowClient().delete_experiment(gone)
try:
    tracking.experiment(name="gone")
except TrackingError as error:
    answer.append(str(error))
"""
    first, second, third = mlflow.run(code, directory=tmp_path)
    assert first == second == "TrackingNotFound"
    assert "is deleted. Restore it" in third


def test_a_directory_of_files_is_refused_with_what_mlflow_wants_for_it(mlflow, tmp_path):
    told = mlflow.attempt(LIFE, uri="./mlruns", directory=tmp_path)
    assert told["error"].startswith(
        f"TrackingError: MLflow no longer writes to directories of files such as file://{tmp_path}/mlruns."
    )
    assert "MLFLOW_ALLOW_FILE_STORE=true" in told["error"]


def test_a_directory_of_files_is_used_where_it_is_allowed(mlflow, tmp_path):
    code = LIFE + "answer = [variables, record.finish('FINISHED')]"
    allowed = {"MLFLOW_ALLOW_FILE_STORE": "true"}
    variables, status = mlflow.run(code, uri="store here", directory=tmp_path, variables=allowed)
    assert status == "FINISHED"
    address = variables["MLFLOW_TRACKING_URI"]
    assert address == f"file://{tmp_path}/store%20here"
    run = mlflow.run(SEEN, uri=address, run_id=variables["MLFLOW_RUN_ID"], variables=allowed)
    assert run["info"]["status"] == "FINISHED"
    assert run["data"]["params"].keys() == {"alpha", "long"}


def test_the_password_of_a_database_is_not_shown(mlflow):
    tracking = connect("postgresql://ada:s3cr3t@127.0.0.1:1/runs")
    assert tracking.shown == "postgresql://ada:***@127.0.0.1:1/runs"
    assert "s3cr3t" not in repr(tracking)
    told = mlflow.attempt(LIFE, uri="sqlite://ada:s3cr3t@host/x.db")
    assert told["error"].startswith("TrackingError: The tracking store sqlite://ada:***@host/x.db")
    assert "s3cr3t" not in told["error"]


def test_requests_that_a_plugin_signs_are_left_to_mlflow(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "kubernetes")
    assert isinstance(connect(uri), PackageTracking)
    monkeypatch.delenv("MLFLOW_TRACKING_AUTH")
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    assert isinstance(connect(uri), PackageTracking)


@pytest.fixture
def without_mlflow(tmp_path):
    """A Python that has mlp and requests, and no mlflow."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for package in (mlp, requests, urllib3, certifi, idna, charset_normalizer):
        source = Path(package.__file__).parent
        (packages / source.name).symlink_to(source)

    def run(code):
        variables = {"PYTHONPATH": str(packages), "PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
        command = [
            sys.executable,
            "-S",
            "-c",
            f"import json; from mlp.tracking import *\n{code}\nprint(json.dumps(answer))",
        ]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_without_mlflow_tracking_is_off_by_default(without_mlflow, tmp_path):
    assert without_mlflow("answer = connect() is None") is True
    # What looks like the package and is none.
    (tmp_path / "mlflow").mkdir()
    assert without_mlflow("answer = connect() is None") is True


def test_without_mlflow_servers_work(without_mlflow, uri):
    code = f"answer = RunRecord.begin(connect({uri!r})).finish('FINISHED')"
    assert without_mlflow(code) == "FINISHED"


@pytest.mark.parametrize("given", ["sqlite:///runs.db", "./mlruns", "file:///x"])
def test_without_mlflow_other_stores_name_the_package(without_mlflow, given):
    code = f"try:\n  connect({given!r})\nexcept Exception as error:\n  answer = [type(error).__name__, str(error)]"
    kind, said = without_mlflow(code)
    assert kind == "TrackingError"
    assert "needs the package mlflow: pip install mlflow" in said


def test_without_a_store_there_is_nothing_to_read(monkeypatch):
    monkeypatch.setenv("MLP_TRACKING", "off")
    with pytest.raises(TrackingError, match=r"There is no tracking store to read from: set MLFLOW_TRACKING_URI"):
        get_run("0")


@pytest.mark.parametrize("method", ["experiment", "get_run"])
def test_a_database_that_nobody_can_make_is_told_at_once(method):
    """Without a word to MLflow, which would try for two minutes."""
    ask = getattr(connect("sqlite:////proc/nowhere/mlflow.db"), method)
    with pytest.raises(TrackingError, match=r"cannot be made: No such file or directory\. Name another one in MLFLOW_"):
        ask(**({"name": "x"} if method == "experiment" else {"run_id": "0"}))


def test_a_uri_that_is_none_is_refused():
    with pytest.raises(UsageError, match="malformed: Invalid IPv6 URL"):
        connect("http://[bad")


def test_a_uri_that_names_no_server_is_refused():
    with pytest.raises(UsageError, match=r"The tracking URI 'http:///x' names no host"):
        connect("http:///x")
