from __future__ import annotations

import pytest

from tests.tracking.conftest import mlflow
from tests.workflows.place import Place

__all__ = ["mlflow"]


@pytest.fixture(scope="module")
def make_place(tmp_path_factory, mlflow_server, mlflow):
    """Makes a place with some of the examples."""

    def make(*examples: str) -> Place:
        return Place.make(tmp_path_factory.mktemp("workflow"), mlflow_server.uri, mlflow, *examples)

    return make
