"""How often a workspace may be asked: below what Databricks publishes as its limits, for all threads of this process.

A workspace counts the requests of everybody who uses it, so at most half of a limit is taken here. Knows nothing of
requests: whoever sends one waits for its turn first.
"""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mlp.errors import WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RATES", "Kind", "Pace", "Rate", "pace_of"]


class Kind(StrEnum):
    """Requests that Databricks counts together."""

    SUBMIT = "submit"
    GET = "get"
    LIST = "list"
    CANCEL = "cancel"
    OUTPUT = "output"
    IMPORT = "import"
    FILES = "files"
    DBFS = "dbfs"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, and so many at once after a pause."""

    per_second: float
    burst: int


# Published (Databricks' documentation, "Resource limits", API rate limits of a workspace), requests a second:
# runs/submit 35, runs/get 100, DBFS 30, workspace/import 30. For the others nothing is: they get what DBFS does.
# Burst and rate together are at most half of it, whichever second is looked at.
RATES: Final = {kind: Rate(12, 3) for kind in Kind} | {Kind.SUBMIT: Rate(14, 3), Kind.GET: Rate(40, 10)}


class Pace:
    """The pace of one workspace. Safe for use by many threads."""

    def __init__(self, shown: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown = shown
        self._clock = clock
        self._lock = threading.Lock()
        # When the next request of a kind would be due if all went evenly. Behind the present by a burst at most.
        self._due: dict[Kind, float] = {}
        self._held: dict[Kind, float] = {}

    def turn(self, kind: Kind, longest: float) -> float:
        """Take a turn.

        Args:
            kind: What is to be sent.
            longest: Seconds that are worth waiting.

        Returns:
            Seconds to wait before sending it. The turn is taken.

        Raises:
            WorkspaceUnavailable: That would be too long; no turn is taken.
        """
        rate = RATES[kind]
        with self._lock:
            now = self._clock()
            idle = now - (rate.burst - 1) / rate.per_second
            due = max(idle, self._due.get(kind, idle), self._held.get(kind, idle))
            wait = max(0.0, due - now)
            if wait <= longest:
                self._due[kind] = due + 1 / rate.per_second
                return wait
        raise WorkspaceUnavailable(
            f"{self._shown} has been asked too often of late: the next turn is in {wait:.0f} s.", after=wait
        )

    def hold(self, kind: Kind, seconds: float) -> None:
        """Send nothing of a kind for some time: the workspace has asked for that."""
        with self._lock:
            self._held[kind] = max(self._held.get(kind, 0.0), self._clock() + seconds)


_paces: weakref.WeakValueDictionary[str, Pace] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def pace_of(host: str) -> Pace:
    """The pace of a workspace: one for all of this process, for as long as somebody has it."""
    with _lock:
        pace = _paces.get(host)
        if pace is None:
            pace = _paces[host] = Pace(f"Databricks ({host})")
        return pace
