"""What mlp itself has to say while a command is under way: on stderr, since stdout is the project's.

Records with the attribute ``transient`` tell how far something is. On a terminal each overwrites the one before;
elsewhere, in a file or a CI's log, one of them is printed now and then.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from contextlib import suppress
from typing import Final

__all__ = ["show_progress"]

_BETWEEN: Final = 15.0
"""Seconds between two transient records where there is no terminal."""

_ERASE_LINE: Final = "\r\x1b[K"
_WORDS: Final = {logging.WARNING: "Warning: ", logging.ERROR: "Error: "}


class _Lines(logging.Handler):
    """Writes records to stderr, each on its line."""

    def __init__(self) -> None:
        super().__init__()
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = False
        self._last = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. That nobody reads it any more must not end the run."""
        text = _WORDS.get(record.levelno, "") + record.getMessage()
        with suppress(OSError, ValueError):
            if getattr(record, "transient", False):
                self._draw(text)
                return
            erase = _ERASE_LINE if self._drawn else ""
            self._drawn = False
            sys.stderr.write(f"{erase}{text}\n")
            sys.stderr.flush()

    def _draw(self, text: str) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"{_ERASE_LINE}{text[:width]}")
            sys.stderr.flush()
            self._drawn = True
        elif time.monotonic() - self._last >= _BETWEEN:
            self._last = time.monotonic()
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def show_progress() -> None:
    """Print what the library logs, from now on."""
    library = logging.getLogger("mlp")
    library.handlers = [_Lines()]
    library.setLevel(logging.INFO)
    library.propagate = False
