from __future__ import annotations

from tests.projectruns import knows_projectruns, runs
from tests.workflows.conftest import desk, make_desk

__all__ = ["desk", "knows_projectruns", "make_desk", "runs"]
