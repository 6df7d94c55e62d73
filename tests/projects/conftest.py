from __future__ import annotations

from tests.projectruns import knows_projectruns, runs
from tests.projects.databricks import logged_in

__all__ = ["knows_projectruns", "logged_in", "runs"]
