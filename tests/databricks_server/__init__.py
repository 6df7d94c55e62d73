"""A double of a Databricks workspace: a real HTTP server on this machine that executes tasks as real processes.

It is made from what databricks-sdk sends and reads, and from what the documentation says; it takes no request that the
SDK could not have sent and gives no answer that the SDK could not read. Nothing here was tried against a workspace.

What it stands in for by other means: an argument that is exactly a path below /Workspace, /Volumes or /dbfs is given to
a task as the path where that file is stored (a cluster has these file systems mounted); a cluster is a Python with pip
and a home of its own; Spark there is none.
"""

from __future__ import annotations

from tests.databricks_server.auth import FederationPolicy
from tests.databricks_server.faults import Fault, Faults
from tests.databricks_server.journal import Journal, Request
from tests.databricks_server.run import Ending, Step
from tests.databricks_server.runs import Delays
from tests.databricks_server.server import EXISTING_CLUSTER, DatabricksServer

__all__ = [
    "EXISTING_CLUSTER",
    "DatabricksServer",
    "Delays",
    "Ending",
    "Fault",
    "Faults",
    "FederationPolicy",
    "Journal",
    "Request",
    "Step",
]
