"""Asking a cluster that may be silent for a moment: an API server that restarts must not end who follows a run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from mlp.errors import ClusterUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATIENCE", "patiently"]

Answer = TypeVar("Answer")

PATIENCE: Final = 60.0
"""Seconds that the cluster may be silent."""
_PAUSE: Final = 0.5


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask the cluster, and again if it is silent, for a while. What is asked must bear to be asked twice.

    Raises:
        ClusterUnreachable: It is silent for longer.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except ClusterUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
