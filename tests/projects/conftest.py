from __future__ import annotations

from tests.projectruns import knows_projectruns, runs
from tests.projects.databricks import databricks, databricks_driver, databricks_python, logged_in

__all__ = ["databricks", "databricks_driver", "databricks_python", "knows_projectruns", "logged_in", "runs"]
