"""What a run's record says of a directory that was sent as it lay on a disk: the commit, and whether that is all.

Only what was sent counts: a file that nobody sends may have changed, and a file that is new may have been sent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.errors import MlpError
from mlp.source.bundle.ignoring import call_git
from mlp.source.bundle.listing import is_work_tree
from mlp.source.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlp.source.location import Location

__all__ = ["SentFrom", "sent_from"]


@dataclass(frozen=True, slots=True)
class SentFrom:
    """The working tree that something was sent from.

    Attributes:
        repository: The repository's address, without credentials; None if it has no remote.
        commit: What HEAD is; None where no commit holds the directory.
        branch: The branch that is checked out.
        dirty: Whether something else was sent than the commit holds.
    """

    repository: str | None
    commit: str | None
    branch: str | None
    dirty: bool


def sent_from(location: Location, paths: Collection[str]) -> SentFrom | None:
    """Look at the working tree around a directory; None if it belongs to none.

    Args:
        location: The directory, of kind "directory"; what was sent is all of it, not its subdirectory alone.
        paths: What was sent.
    """
    directory = Path(location.uri)
    if not is_work_tree(directory):
        return None
    found = provenance(location, None, directory)
    if found.commit is None:
        return SentFrom(found.repository, None, _branch(directory), dirty=True)
    return SentFrom(found.repository, found.commit, _branch(directory), dirty=_differs(directory, set(paths)))


def _branch(directory: Path) -> str | None:
    return os.fsdecode(call_git(directory, "symbolic-ref", "--quiet", "--short", "HEAD", good=(0, 1))).strip() or None


def _differs(directory: Path, paths: set[str]) -> bool:
    try:
        changed = _names(directory, "diff", "--name-only", "--relative", "--no-renames", "-z", "HEAD", "--", ".")
    except MlpError:  # a submodule that Git cannot look into, say: what is not known is not clean
        return True
    # A path that was not sent has been removed, or is a submodule, or is one that .mlpignore names.
    for path in changed:
        if path in paths or not (directory / path).exists() or (directory / path).is_dir():
            return True
    return any(path in paths for path in _names(directory, "ls-files", "-z", "--others", "--exclude-standard"))


def _names(directory: Path, *arguments: str) -> list[str]:
    return [os.fsdecode(name) for name in call_git(directory, *arguments).split(b"\0") if name]
