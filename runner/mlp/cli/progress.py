"""What mlp itself has to say while a command is under way: on stderr, since stdout is the project's."""

from __future__ import annotations

import logging
import sys

__all__ = ["show_progress"]


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The message alone; a warning says that it is one."""
        prefix = "Warning: " if record.levelno >= logging.WARNING else ""
        return prefix + record.getMessage()


def show_progress() -> None:
    """Print what the library logs, from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    library = logging.getLogger("mlp")
    library.handlers = [handler]
    library.setLevel(logging.INFO)
    library.propagate = False
