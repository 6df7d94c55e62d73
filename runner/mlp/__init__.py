"""mlp runs MLflow Projects on a laptop, on Kubernetes and on Databricks, with one meaning everywhere.

    run             run a project on this machine
    run_manifest    run what a ProjectRun describes on this machine
    SubmittedRun    what both give back
    MlpError        what goes wrong; mlp.errors has the whole tree

The names are imported when they are used: ``import mlp`` is part of every command and every step in a pod.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlp.backends import SubmittedRun
    from mlp.backends.local import run, run_manifest
    from mlp.errors import MlpError

__version__: Final = "0.1.0"
__all__ = ["MlpError", "SubmittedRun", "__version__", "run", "run_manifest"]

_HOMES: Final = {
    "MlpError": "mlp.errors",
    "SubmittedRun": "mlp.backends",
    "run": "mlp.backends.local",
    "run_manifest": "mlp.backends.local",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- any of the names above
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
