"""What a user keeps out of a bundle: .mlpignore, in the words of .gitignore, in any directory of the tree.

Git itself decides what the words mean. It is asked in an empty repository of its own, where the files stand as
.gitignore: so neither what the user's repository tracks nor what its own .gitignore says can get in between.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, UsageError
from mlp.source import program
from mlp.source.access import own_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FILE_NAME", "call_git", "without_ignored"]

FILE_NAME: Final = ".mlpignore"

_TIMEOUT: Final = 120.0
_NONE_IS_IGNORED: Final = 1


def without_ignored(directory: Path, paths: Sequence[str]) -> list[str]:
    """Those of a tree's paths that no .mlpignore names.

    Args:
        directory: The tree's root.
        paths: Paths relative to it; the files that name others are among them.

    Raises:
        SourceInvalid: A file cannot be read.
        UsageError: There is no program ``git``.
    """
    rules = [path for path in paths if path.rpartition("/")[2] == FILE_NAME]
    if not rules:
        return list(paths)
    with tempfile.TemporaryDirectory(prefix="mlp-ignore-") as temporary:
        tree = Path(temporary)
        call_git(tree, "init", "--quiet", "--template=")
        for path in rules:
            copy = tree / path.removesuffix(FILE_NAME) / ".gitignore"
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                copy.write_bytes((directory / path).read_bytes())
            except OSError as error:
                raise SourceInvalid(f"{directory / path} cannot be read: {error.strerror}.") from None
        outcome = call_git(
            tree,
            "-c",
            "core.excludesFile=",
            "-c",
            "core.ignoreCase=false",
            "check-ignore",
            "--no-index",
            "-z",
            "--stdin",
            stdin=b"".join(os.fsencode(path) + b"\0" for path in paths),
            good=(0, _NONE_IS_IGNORED),
        )
    ignored = set(os.fsdecode(outcome).split("\0"))
    return [path for path in paths if path not in ignored]


def call_git(directory: Path, *arguments: str, stdin: bytes = b"", good: Sequence[int] = (0,)) -> bytes:
    """What a call of Git prints, made with the user's own surroundings.

    Args:
        directory: Where it is called.
        arguments: Its arguments.
        stdin: What it reads.
        good: The exit statuses that are no failure.

    Raises:
        SourceInvalid: It fails; the message is Git's.
        UsageError: There is no program ``git``.
    """
    try:
        outcome = program.run(
            ["git", *arguments],
            environment=own_environment(),
            deadline=program.Deadline.after(_TIMEOUT),
            directory=directory,
            stdin=stdin,
        )
    except FileNotFoundError:
        raise UsageError("There is no program 'git' on PATH. Install Git 2.31 or newer.") from None
    except program.TimedOut:
        raise SourceInvalid(f"Git did not list {directory} in {_TIMEOUT:g} s.") from None
    if outcome.status not in good:
        said = outcome.stderr.strip().removeprefix("fatal: ") or f"exit status {outcome.status}"
        raise SourceInvalid(f"Git cannot list {directory}: {said}")
    return outcome.stdout
