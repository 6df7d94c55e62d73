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
from typing import Final

import click

__all__ = ["say", "show_progress"]

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
        try:
            if getattr(record, "transient", False):
                self._draw(text)
                return
            self.erase()
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            _give_up_stderr()

    def erase(self) -> None:
        """Make room for what does not come this way: the error that ends the command."""
        if self._drawn:
            self._drawn = False
            try:
                sys.stderr.write(_ERASE_LINE)
                sys.stderr.flush()
            except (OSError, ValueError):
                _give_up_stderr()

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


def say(text: str = "") -> None:
    """Print a line on stderr. That nobody reads it any more, on a terminal that was closed, is no error."""
    try:
        click.echo(text, err=True)
    except (OSError, ValueError):
        _give_up_stderr()


def _give_up_stderr() -> None:
    """Let nobody have what cannot be written: the interpreter tries it again at its end, and makes it the status."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stderr.fileno())
        finally:
            os.close(nowhere)
    except (OSError, ValueError):
        return


def show_progress() -> None:
    """Print what the library logs, from now on. What is said of progress goes with the command."""
    library = logging.getLogger("mlp")
    lines = _Lines()
    library.handlers = [lines]
    library.setLevel(logging.INFO)
    library.propagate = False
    if (context := click.get_current_context(silent=True)) is not None:
        context.call_on_close(lines.erase)
