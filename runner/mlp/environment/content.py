"""The hash of a directory or a file that is installed from this machine, so that a change makes another environment.

A package that lies in the project (``.``, ``-e ./lib``) would be installed into an environment that others share and
that outlives the project's directory. So it is always installed as a copy, into an environment that belongs to this
very content. What tools leave in such a directory says nothing about the package and is passed over.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["digest"]

_PASSED_OVER: Final = {"__pycache__", "mlruns", "mlartifacts", "build", "dist", "node_modules", "venv", "env"}
_LEFT_BEHIND: Final = (".pyc", ".pyo", ".egg-info", ".log", ".db")


def digest(path: Path) -> str:
    """Hash a file, or all files of a directory with their names and whether they can be executed."""
    if path.is_file():
        return _of_file(path)
    total = hashlib.sha256()
    for relative, file in _files(path):
        mode = "link" if file.is_symlink() else "x" if file.stat().st_mode & stat.S_IXUSR else "-"
        content = str(file.readlink()) if file.is_symlink() else _of_file(file)
        total.update(f"{relative}\0{mode}\0{content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not _is_passed_over(name))
        for name in sorted(files):
            file = Path(directory, name)
            if not _is_passed_over(name) and (file.is_symlink() or file.is_file()):
                yield str(file.relative_to(root)), file


def _is_passed_over(name: str) -> bool:
    return name in _PASSED_OVER or name.startswith(".") or name.endswith(_LEFT_BEHIND)


def _of_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
