from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from mlp.tracking import connect, connection
from mlp.tracking.retrying import Patience
from tests.servers.guarded_proxy import guarding

PROGRAM = Path(__file__).with_name("in_mlflow.py")
SETTINGS = ("MLFLOW_", "MLP_", "DATABRICKS_")
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Mlflow:
    """A Python that has MLflow imported; see `in_mlflow`."""

    def __init__(self, process, directory):
        self._process = process
        self._directory = directory
        self._lock = threading.Lock()

    def run(self, code, *, directory=None, variables=None, **names):
        """What a piece of code leaves in `answer`."""
        told = self.attempt(code, directory=directory, variables=variables, **names)
        assert "error" not in told, told["error"]
        return told["answer"]

    def attempt(self, code, *, directory=None, variables=None, **names):
        piece = {
            "code": code,
            "names": names,
            "directory": str(directory or self._directory),
            "variables": variables or {},
        }
        with self._lock:
            print(json.dumps(piece), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())

    def seen(self, uri, run_id):
        """A run, as MLflow's own client sees it."""
        code = "answer = mlflow.MlflowClient(tracking_uri=uri).get_run(run_id).to_dictionary()"
        return self.run(code, uri=uri, run_id=run_id)


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory):
    variables = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    with subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=variables | {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(tmp_path_factory.mktemp("home"))},
    ) as process:
        yield Mlflow(process, tmp_path_factory.mktemp("mlflow-client"))
        # MLflow's threads would take seconds to end.
        process.kill()


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """What the machine's user has configured must not decide a test."""
    for name in list(os.environ):
        if name.startswith(SETTINGS) or name.upper() in NETWORK:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """Short pauses, and more time than any machine needs."""
    monkeypatch.setattr(connection, "AT_FIRST", Patience(attempts=3, seconds=120, pause=0.05))
    monkeypatch.setattr(connection, "LATER", Patience(attempts=50, seconds=120, pause=0.05, longest_pause=0.5))


@pytest.fixture
def uri(mlflow_server):
    return mlflow_server.uri


@pytest.fixture
def proxy(mlflow_server):
    """Something between us and the server."""
    with guarding(mlflow_server.uri) as proxy:
        yield proxy


@pytest.fixture
def tracking(uri):
    with_server = connect(uri)
    yield with_server
    with_server.close()


@pytest.fixture
def experiment(tracking):
    """The id of an experiment that nobody else uses."""
    return tracking.experiment(name=f"test-{uuid.uuid4().hex}")
