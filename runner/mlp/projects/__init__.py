"""Running projects from Python: ``mlp.run`` is ``mlp.projects.run``, with the signature of MLflow's function.

`api` has the two functions that programs call, `requests` what they ask of this machine, `choice` the backends, and
`in_a_cluster` the way of a call to Kubernetes.
"""

from __future__ import annotations

from mlp.projects.api import run, run_manifest
from mlp.projects.choice import choose_backend, choose_configuration, tell_unused
from mlp.projects.in_a_cluster import submit, wait_for
from mlp.projects.requests import local_request, manifest_request

__all__ = [
    "choose_backend",
    "choose_configuration",
    "local_request",
    "manifest_request",
    "run",
    "run_manifest",
    "submit",
    "tell_unused",
    "wait_for",
]
