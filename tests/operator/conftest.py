from __future__ import annotations

import pytest


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files go: all of them have to be gone at the end."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []
