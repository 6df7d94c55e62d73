"""A Python that has MLflow imported, as a pytest fixture: begun by the first test that asks, gone with the session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("in_mlflow.py")
SETTINGS = ("MLFLOW_", "MLP_", "DATABRICKS_")


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
