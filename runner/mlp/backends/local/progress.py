"""What takes long, said while it takes long: through the log, as records that replace each other.

A record with the attribute ``transient`` may be shown on one line of a terminal that the next one overwrites. Whoever
has no terminal drops most of them: see mlp.cli.progress.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from mlp.data.sizes import size

__all__ = ["Progress"]

_BETWEEN: Final = 0.1
"""Seconds between two records of one activity."""

_log = logging.getLogger(__name__)


class Progress:
    """The progress of one activity.

    Args:
        activity: What goes on, in a few words: "Downloading data".
    """

    def __init__(self, activity: str) -> None:
        self._activity = activity
        self._last = 0.0
        self._lock = threading.Lock()

    def transfer(self, done: int, total: int | None, what: str) -> None:
        """So many bytes of a total have arrived."""
        of_total = f" of {size(total)}" if total else ""
        self.step(f"{what}: {size(done)}{of_total}")

    def step(self, message: str) -> None:
        """This is being done now."""
        now = time.monotonic()
        with self._lock:
            if now - self._last < _BETWEEN:
                return
            self._last = now
        _log.info("%s: %s", self._activity, message, extra={"transient": True})
