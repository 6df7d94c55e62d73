"""Whether a directory still is what a commit says: then the commit can stand for it elsewhere.

Git is asked and nothing is fetched or changed. What a program leaves behind that only ran (compiled Python) is no
change of its project.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlp.source import program
from mlp.source.access import own_environment

__all__ = ["Checkout", "checkout_of"]

_TIMEOUT: Final = 60.0
_STATUS: Final = (
    "status",
    "--porcelain",
    "-z",
    "--untracked-files=all",
    "--ignore-submodules=untracked",
    "--no-renames",
)
_LARGE_FILES: Final = ("-c", "filter.lfs.clean=git-lfs clean -- %f", "-c", "filter.lfs.required=false")
"""A content stands in the place of its pointer, and Git may have to look whether it is the same."""
_LEFT_BEHIND: Final = ("__pycache__", ".ipynb_checkpoints")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A directory in a Git working tree.

    Attributes:
        subdirectory: Its path in the tree, "" for the root.
        commit: What HEAD is, 40 hexadecimal digits.
        modified: Whether a file of the tree is other than in the commit, or new.
    """

    subdirectory: str
    commit: str
    modified: bool


def checkout_of(directory: Path) -> Checkout | None:
    """Look at the working tree that a directory is in; None if it is in none, or Git is not there to tell."""
    place = directory.resolve()
    lines = _ask(place, "rev-parse", "--show-toplevel", "HEAD^{commit}")
    if lines is None:
        return None
    top, commit = os.fsdecode(lines).splitlines()
    changes = _ask(Path(top), *_STATUS)
    if changes is None:
        return None
    inside = place.relative_to(top).as_posix()
    return Checkout("" if inside == "." else inside, commit, any(map(_counts, os.fsdecode(changes).split("\0"))))


def _counts(entry: str) -> bool:
    """Whether a line of ``git status`` is a change of the project: two letters, a blank and a path."""
    state, path = entry[:2], entry[3:]
    left_behind = state == "??" and (path.endswith(".pyc") or any(part in _LEFT_BEHIND for part in path.split("/")))
    return bool(entry) and not left_behind


def _ask(place: Path, *arguments: str) -> bytes | None:
    """What Git says of a directory; None if it fails or is not there."""
    # The tree of a pod may belong to another user than the command's; and a partial clone must not fetch what it lacks.
    environment = own_environment() | {"GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    with contextlib.suppress(OSError, program.TimedOut):
        outcome = program.run(
            ["git", "-c", "safe.directory=*", *_LARGE_FILES, *arguments],
            environment=environment,
            deadline=program.Deadline.after(_TIMEOUT),
            directory=place,
        )
        if outcome.status == 0:
            return outcome.stdout
    return None
