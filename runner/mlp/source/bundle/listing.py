"""What of a directory belongs to a project.

In a Git working tree that is what Git tracks, as it lies on the disk, and what is new and not ignored; submodules and
repositories inside likewise. Elsewhere it is every file. What programs leave behind while one works (caches, virtual
environments, runs that MLflow recorded) belongs to it only where Git tracks it, and a .mlpignore goes before all.
"""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid
from mlp.source.bundle.ignoring import FILE_NAME, call_git, without_ignored

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JUNK", "is_work_tree", "list_tree"]

JUNK: Final = (
    *(".bzr", ".hg", ".svn", ".jj"),
    *("__pycache__", "*.pyc", ".ipynb_checkpoints", "*.egg-info", ".eggs"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".venv", "node_modules"),
    *("mlruns", "mlartifacts", "mlflow.db"),
    *(".DS_Store", ".Trash-*", "*~", "*.swp"),
)
"""Names that are left out where Git does not track them, files and directories, in the way of a shell's patterns."""

_ENVIRONMENT_MARKS: Final = ("pyvenv.cfg", "conda-meta")
"""What a directory holds that is a virtual environment, whatever its name."""

_GITLINK: Final = "160000"
_GIT: Final = ".git"


def list_tree(directory: Path, *, most: int) -> list[str]:
    """The paths of all files and links of a tree, relative to it, in the order of their bytes.

    Args:
        directory: The tree's root.
        most: How many there may be.

    Raises:
        SourceInvalid: There are more; a directory cannot be read; Git does not list it.
        UsageError: Git would have to be asked, and is not there.
    """
    found: set[str] = set()
    for path in _in_git(directory, "") if is_work_tree(directory) else _walk(directory, ""):
        found.add(path)
        if len(found) > most:
            raise SourceInvalid(
                f"{directory} holds more than {most:,} files, which is no project's size. Name the project's own "
                f"directory, or list in {FILE_NAME} what the run does not need."
            )
    paths = sorted(_present(directory, found), key=os.fsencode)
    return without_ignored(directory, paths)


def is_work_tree(directory: Path) -> bool:
    """Whether Git says what belongs to a directory.

    Raises:
        SourceInvalid: It would have to, and cannot.
        UsageError: There is no program ``git``.
    """
    place = directory.resolve()
    if not any((parent / _GIT).exists() for parent in (place, *place.parents)):
        return False
    try:
        inside = call_git(place, "rev-parse", "--is-inside-work-tree").strip() == b"true"
    except SourceInvalid as error:
        if "not a git repository (or any" in str(error):  # something else that is called .git
            return False
        # Without Git everything would go, with whatever the repository ignores: keys and passwords, too.
        raise
    if not inside or call_git(place, "ls-files", "-z"):
        return inside
    # A directory that its repository ignores as a whole: a home that is under version control, say.
    return not call_git(place, "check-ignore", "--no-index", ".", good=(0, 1))


def _in_git(directory: Path, prefix: str) -> Iterator[str]:
    """What a repository holds below a directory of its working tree."""
    nested: set[str] = set()
    for entry in _lines(call_git(directory, "ls-files", "-z", "--stage")):
        attributes, _, path = entry.partition("\t")
        if attributes.startswith(_GITLINK):
            nested.add(path)
        else:
            yield prefix + path
    for path in _lines(call_git(directory, "ls-files", "-z", "--others", "--exclude-standard")):
        if path.endswith("/"):
            nested.add(path.rstrip("/"))
        elif not _is_left_behind(directory, path):
            yield prefix + path
    for path in sorted(nested):
        inner = directory / path
        # A submodule that was never brought is an empty directory.
        if (inner / _GIT).exists() and not inner.is_symlink():
            yield from _in_git(inner, f"{prefix}{path}/")


def _lines(output: bytes) -> Iterator[str]:
    return (os.fsdecode(line) for line in output.split(b"\0") if line)


def _walk(directory: Path, prefix: str) -> Iterator[str]:
    """Every file below a directory that is in no repository."""
    try:
        entries = list(os.scandir(directory))
    except OSError as error:
        raise SourceInvalid(f"{directory} cannot be read: {error.strerror}. Or list it in {FILE_NAME}.") from None
    for entry in entries:
        path = Path(entry.path)
        if entry.name == _GIT or _is_junk(entry.name):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield prefix + entry.name
        elif (path / _GIT).exists() and is_work_tree(path):
            yield from _in_git(path, f"{prefix}{entry.name}/")
        elif not _is_environment(path):
            yield from _walk(path, f"{prefix}{entry.name}/")


def _is_left_behind(directory: Path, path: str) -> bool:
    parts = path.split("/")
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return any(map(_is_junk, parts)) or any(_is_environment(directory / parent) for parent in above)


def _is_junk(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in JUNK)


def _is_environment(directory: Path) -> bool:
    return any((directory / mark).exists() for mark in _ENVIRONMENT_MARKS)


def _present(directory: Path, paths: set[str]) -> Iterator[str]:
    """What is there, and reached through directories alone: what Git tracks may have been removed, or replaced."""
    real: dict[str, bool] = {"": True}

    def is_real(parent: str) -> bool:
        if parent not in real:
            real[parent] = is_real(parent.rpartition("/")[0]) and stat.S_ISDIR(_mode(directory / parent))
        return real[parent]

    for path in paths:
        mode = _mode(directory / path) if is_real(path.rpartition("/")[0]) else 0
        if mode and not stat.S_ISDIR(mode):
            yield path


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
