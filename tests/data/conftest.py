from __future__ import annotations

import os

import pytest

from mlp.data import patience
from tests.servers.files_http import files_server
from tests.servers.flaky_proxy import flaky_proxy


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch, tmp_path_factory):
    """What the machine's user has configured must not decide a test."""
    for name in os.environ:
        if name.startswith(("AWS_", "MLFLOW_", "DATABRICKS_", "MLP_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """As many tries as ever, in a moment."""
    monkeypatch.setattr(patience, "_PAUSES", tuple(pause / 50 for pause in patience._PAUSES))


@pytest.fixture
def into(tmp_path):
    return tmp_path / "into"


@pytest.fixture
def web():
    with files_server() as server:
        yield server


@pytest.fixture
def flaky_web(web):
    """A proxy in front of `web`."""
    with flaky_proxy(web.url) as proxy:
        yield proxy


@pytest.fixture
def store(s3, monkeypatch):
    """The session's S3, as the environment's own."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture
def flaky_store(store, monkeypatch):
    """A proxy in front of the session's S3, as the environment's own."""
    with flaky_proxy(store.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy
