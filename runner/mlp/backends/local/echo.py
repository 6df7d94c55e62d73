"""A command's output on its way to ours, with its last lines kept for whoever has to explain a failure.

Only for callers whose output is no terminal: a program at a terminal should see that it is one, for its colours and
progress bars, and then everything is on the screen anyway. In a notebook, `sys.stdout` is not file descriptor 1: this
is what brings the command's output into the notebook.
"""

from __future__ import annotations

import codecs
import os
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LAST_LINES", "Echo", "LastLines"]

LAST_LINES: Final = 20
_OF_ERRORS: Final = 15
"""Lines of the standard error that are kept at most, so that there is room for what was going on."""
_LONGEST: Final = 500
"""Characters of one line that are kept."""
_CHUNK: Final = 65536
_PATIENCE: Final = 2.0
"""Seconds that are waited for the rest of the output of a command that has ended: what it left behind may go on."""


class LastLines:
    """The end of a text that arrives in pieces."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._begun = ""
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        """Add a piece."""
        with self._lock:
            *lines, begun = (self._begun + text).split("\n")
            self._lines.extend(line[-_LONGEST:] for line in lines)
            self._begun = begun[-_LONGEST:]

    def __call__(self) -> tuple[str, ...]:
        """The last lines, without those at the very end that are empty."""
        with self._lock:
            lines = [line.rstrip() for line in (*self._lines, self._begun)]
        while lines and not lines[-1]:
            lines.pop()
        return tuple(lines[-LAST_LINES:])


class Echo:
    """Copies what a command writes to our own outputs.

    Attributes:
        output: The file descriptor for the command's standard output.
        error: The same for its standard error.
    """

    def __init__(self) -> None:
        self._last = {"output": LastLines(), "error": LastLines()}
        self.output = self.error = -1
        self._threads: list[threading.Thread] = []

    @classmethod
    def where_nobody_watches(cls) -> Echo | None:
        """An echo, unless our standard output is a terminal."""
        try:
            return None if sys.stdout.isatty() else cls()
        except (AttributeError, ValueError):  # none, or closed
            return cls()

    def __enter__(self) -> Self:
        for name, ours in (("output", sys.stdout), ("error", sys.stderr)):
            reading, writing = os.pipe()
            setattr(self, name, writing)
            self._threads.append(threading.Thread(target=_copy, args=(reading, ours, self._last[name]), daemon=True))
        return self

    def begin(self) -> None:
        """Copy from now on: the command has its ends of the pipes."""
        self._close()
        for thread in self._threads:
            thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()
        for thread in self._threads:
            if thread.ident is None:  # never begun: it closes its end of the pipe at once
                thread.start()
            thread.join(_PATIENCE)

    def last_lines(self) -> tuple[str, ...]:
        """The last lines: those of the standard error at the end, since the two arrive in no certain order."""
        errors = self._last["error"]()[-_OF_ERRORS:]
        return (*self._last["output"]()[-(LAST_LINES - len(errors)) :], *errors)

    def _close(self) -> None:
        for descriptor in (self.output, self.error):
            if descriptor >= 0:
                os.close(descriptor)
        self.output = self.error = -1


def _copy(reading: int, ours: IO[str] | Any, last_lines: LastLines) -> None:  # noqa: ANN401 -- what sys.stdout may be
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while chunk := pipe.read(_CHUNK):
            text = decoder.decode(chunk)
            last_lines.add(text)
            # Whoever reads our output may be gone; the command must not notice by a full pipe.
            with suppress(OSError, ValueError, AttributeError):
                _write(ours, chunk, text)


def _write(ours: IO[str] | Any, chunk: bytes, text: str) -> None:  # noqa: ANN401 -- as above
    if (binary := getattr(ours, "buffer", None)) is not None:
        ours.flush()
        binary.write(chunk)
        binary.flush()
    else:
        ours.write(text)
        ours.flush()
