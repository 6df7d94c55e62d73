from __future__ import annotations

import pytest

from tests.workflows.place import Desk, Place


@pytest.fixture(scope="module")
def make_desk(tmp_path_factory, mlflow_server, mlflow):
    """Makes a desk with an experiment of its own."""
    return lambda: Desk.make(tmp_path_factory.mktemp("desk"), mlflow_server.uri, mlflow)


@pytest.fixture(scope="module")
def make_place(tmp_path_factory, make_desk):
    """Makes a place with some of the examples."""
    return lambda *examples: Place.make(tmp_path_factory.mktemp("workflow"), make_desk(), *examples)


@pytest.fixture
def desk(make_desk):
    return make_desk()
