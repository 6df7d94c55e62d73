"""The fixtures of the double of a Databricks workspace."""

from __future__ import annotations

from tests.databricks_server.fixtures import (
    WorkspaceForTests,
    behind,
    databricks,
    databricks_driver,
    databricks_python,
    workspace,
)

__all__ = [
    "WorkspaceForTests",
    "behind",
    "databricks",
    "databricks_driver",
    "databricks_python",
    "workspace",
]
