"""Running projects from Python: ``mlp.run`` is ``mlp.projects.run``, with the signature of MLflow's function.

`api` has the two functions that programs call, `requests` what they ask of this machine, `choice` the backends,
`in_a_cluster` the way of a call to Kubernetes, and `on_databricks` that to Databricks, where `staying` waits.
"""

from __future__ import annotations

from mlp.projects.api import run, run_manifest
from mlp.projects.choice import choose_backend, choose_configuration, tell_unused
from mlp.projects.in_a_cluster import submit, wait_for
from mlp.projects.on_databricks import submit_to_databricks, take_up
from mlp.projects.requests import local_request, manifest_request
from mlp.projects.staying import wait_for_databricks

__all__ = [
    "choose_backend",
    "choose_configuration",
    "local_request",
    "manifest_request",
    "run",
    "run_manifest",
    "submit",
    "submit_to_databricks",
    "take_up",
    "tell_unused",
    "wait_for",
    "wait_for_databricks",
]
