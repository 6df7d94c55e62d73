"""Projects on this machine: brought from where they lie, resolved, run, and awaited. No cluster.

`run` waits for a run, `start` returns at once; both take a `Request`, which `manifest.request` makes of a ProjectRun.
An `Execution` is one run from its beginning to its end: `preparation` brings the project and forms its command,
`recording` records it, `downloads` and `environment` bring what the command needs, `process` executes it.
"""

from __future__ import annotations

from mlp.backends.local.api import run, start
from mlp.backends.local.request import Request
from mlp.backends.local.submitted import EndedRun, LocalRun

__all__ = ["EndedRun", "LocalRun", "Request", "run", "start"]
