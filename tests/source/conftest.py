from __future__ import annotations

import pytest

from mlp.source import Access, Git
from tests.source import repositories


@pytest.fixture
def repository(tmp_path):
    return repositories.create(tmp_path / "served" / "project")


@pytest.fixture
def git():
    """Git as in a cluster, but for the transport: local files."""
    return Git(Access.scrubbed(protocols=("file",)), timeout=60)


@pytest.fixture(autouse=True)
def no_configuration_of_the_machine(monkeypatch, tmp_path):
    """What the machine's user has configured must not decide a test."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
