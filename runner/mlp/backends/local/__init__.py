"""Projects on this machine: brought from where they lie, resolved, run, and awaited. No cluster, no server.

`run` takes what ``mlflow.projects.run`` takes, `run_manifest` a ProjectRun. Both begin with the same three steps:
`request` says what is asked for, `preparation` brings the project and forms its command, `process` executes it.
"""

from __future__ import annotations

from mlp.backends.local.api import run, run_manifest
from mlp.backends.local.submitted import EndedRun, LocalRun

__all__ = ["EndedRun", "LocalRun", "run", "run_manifest"]
