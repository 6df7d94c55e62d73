"""What takes long, said now and then in whole lines: they are read in a container's log, perhaps while they come."""

from __future__ import annotations

import sys
import threading
import time
from typing import Final

from mlp.data.sizes import size

__all__ = ["Progress", "say", "speak_for"]

_BETWEEN: Final = 10.0
"""Seconds between two lines about one and the same thing."""
_SHARE: Final = 0.1
"""Of a whole, after which there is a line in any case."""
_NOTEWORTHY: Final = 64 << 20
"""Bytes of which a tenth is worth a line."""

_speaking = threading.Lock()
_speaker = threading.local()


def speak_for(step: str) -> None:
    """Put a step's name in front of whatever this thread says from now on: another step's lines come in between."""
    _speaker.step = step


def say(line: str, *, step: str | None = None) -> None:
    """Write a line to standard output, whole and at once.

    Args:
        line: The line.
        step: The step whose name stands in front; None for that of this thread, if it speaks for one.
    """
    step = getattr(_speaker, "step", "") if step is None else step
    prefix = f"[{step}] " if step else ""
    with _speaking:
        sys.stdout.write("".join(f"{prefix}{each}\n" for each in line.splitlines() or [""]))
        sys.stdout.flush()


class Progress:
    """The progress of one activity.

    Args:
        activity: What goes on, in a few words.
    """

    def __init__(self, activity: str) -> None:
        self._activity = activity
        # What is told of it may come from other threads.
        self._step: str = getattr(_speaker, "step", "")
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._share = 0.0
        self._said: dict[str, float] = {}

    def transfer(self, done: int, total: int | None, what: str) -> None:
        """So many bytes of a total have arrived."""
        now = time.monotonic()
        share = done / total if total and total >= _NOTEWORTHY else 0.0
        with self._lock:
            if now - self._last < _BETWEEN and share - self._share < _SHARE:
                return
            self._last, self._share = now, share
        of_total = f" of {size(total)} ({done / total:.0%})" if total else ""
        say(f"{self._activity}: {what}: {size(done)}{of_total}", step=self._step)

    def step(self, line: str) -> None:
        """This is being done now. Of lines that begin alike only some are said."""
        topic = line.partition(" ")[0]
        now = time.monotonic()
        with self._lock:
            if now - self._said.get(topic, -_BETWEEN) < _BETWEEN:
                return
            self._said[topic] = now
        say(f"{self._activity}: {line}", step=self._step)
