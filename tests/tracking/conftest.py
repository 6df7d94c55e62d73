from __future__ import annotations

import os
import uuid

import pytest

from mlp.tracking import connect, connection
from mlp.tracking.retrying import Patience
from tests.servers.guarded_proxy import guarding
from tests.servers.mlflow_client import SETTINGS

NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


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
