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

_LISTED: Final = 1_000_000
"""How many paths are looked at, those among them that are ignored."""
_INSIDE: Final = "/."
"""Stands for what is inside of a directory that cannot be read: a rule for directories fits it, too."""
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
    closed: dict[str, OSError] = {}
    for path in _in_git(directory, "") if is_work_tree(directory) else _walk(directory, "", closed):
        found.add(path)
        if len(found) > _LISTED:
            raise _too_many(directory, _LISTED)
    paths = [*sorted(_present(directory, found), key=os.fsencode), *closed]
    result = without_ignored(directory, paths)
    for path in closed.keys() & set(result):
        place = directory / path.removesuffix(_INSIDE)
        raise SourceInvalid(
            f"{place} cannot be read: {closed[path].strerror}. Make it readable, or list it in {FILE_NAME}."
        )
    if len(result) > most:
        raise _too_many(directory, most)
    return result


def _too_many(directory: Path, most: int) -> SourceInvalid:
    return SourceInvalid(
        f"{directory} holds more than {most:,} files, which is no project's size. Name the project's own directory, or "
        f"list in {FILE_NAME} what the run does not need."
    )


def is_work_tree(directory: Path) -> bool:
    """Whether Git says what belongs to a directory.

    Raises:
        SourceInvalid: It would have to, and cannot.
        UsageError: There is no program ``git``.
    """
    place = directory.resolve()
    if not any(_is_there(parent / _GIT) for parent in (place, *place.parents)):
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
        if _is_there(inner / _GIT) and not inner.is_symlink():
            yield from _in_git(inner, f"{prefix}{path}/")


def _lines(output: bytes) -> Iterator[str]:
    return (os.fsdecode(line) for line in output.split(b"\0") if line)


def _walk(directory: Path, prefix: str, closed: dict[str, OSError]) -> Iterator[str]:
    """Every file below a directory that is in no repository.

    Args:
        directory: The directory.
        prefix: What its files' paths begin with.
        closed: Gets what stands for directories that cannot be read: they may be ignored.
    """
    try:
        entries = list(os.scandir(directory))
    except OSError as error:
        closed[prefix.rstrip("/") + _INSIDE] = error
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name == _GIT or _is_junk(entry.name):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield prefix + entry.name
        elif _is_there(path / _GIT) and is_work_tree(path):
            yield from _in_git(path, f"{prefix}{entry.name}/")
        elif not _is_environment(path):
            yield from _walk(path, f"{prefix}{entry.name}/", closed)


def _is_left_behind(directory: Path, path: str) -> bool:
    parts = path.split("/")
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return any(map(_is_junk, parts)) or any(_is_environment(directory / parent) for parent in above)


def _is_junk(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in JUNK)


def _is_environment(directory: Path) -> bool:
    return any(_is_there(directory / mark) for mark in _ENVIRONMENT_MARKS)


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
    except PermissionError:  # whoever reads it will say so, if it is not ignored
        return stat.S_IFREG


def _is_there(path: Path) -> bool:
    # pathlib's own fails for what is in a directory that cannot be read.
    return os.path.exists(path)  # noqa: PTH110
