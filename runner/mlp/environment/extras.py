"""The packages that only environments need, which ``pip install mlp-operator`` alone does not bring."""

from __future__ import annotations

import shutil
from typing import Final

from mlp.errors import PreparationError

__all__ = ["find_uv", "missing"]

_EXTRA: Final = "pip install 'mlp-operator[conda]'"


def missing(package: str, what: str) -> PreparationError:
    """The error that says which package is missing, and how to get it."""
    return PreparationError(f"Building {what} needs {package}: {_EXTRA}")


def find_uv() -> str:
    """The program uv: the one that the extra brings, else the user's own.

    Raises:
        PreparationError: There is none.
    """
    try:
        from uv import find_uv_bin  # noqa: PLC0415 -- optional

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise missing("uv", "an environment with Python packages")
    return found
