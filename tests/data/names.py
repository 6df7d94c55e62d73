"""What the tests look for on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def tree(directory: Path) -> dict[str, bytes]:
    """The files below a directory."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def everything(directory: Path) -> list[str]:
    """All names below a directory, hidden ones too."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))
