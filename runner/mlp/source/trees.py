"""What a commit holds, read from a repository that has its directories and fetches a file where one is asked for."""

from __future__ import annotations

from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceNotFound
from mlp.source.program import Outcome
from mlp.source.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlp.source.session import Session

__all__ = ["contents_of", "list_files"]

LARGEST_TEXT: Final = 1 << 20
"""Bytes of a file that is taken into memory."""

_SYMBOLIC_LINK: Final = "120000"
_GITLINK: Final = "160000"
_LINKS_FOLLOWED: Final = 8


def list_files(session: Session, repository: Path, commit: str, subdirectory: str) -> dict[str, tuple[str, str]]:
    """Every file below the project's root: its mode and object, by path."""
    if subdirectory:
        entry = session.run("ls-tree", "-z", commit, "--", f"{subdirectory}", within=repository).decode()
        _check_directory(entry, session.uri, subdirectory)
    output = session.run("ls-tree", "-r", "-z", f"{commit}:{subdirectory}", within=repository)
    tree: dict[str, tuple[str, str]] = {}
    for line in output.decode(errors="surrogateescape").split("\0"):
        attributes, _, path = line.partition("\t")
        if path:
            mode, _, name = attributes.split()
            tree[path] = mode, name
    # A submodule is a directory, and what is in it is not known here.
    return {path: entry for path, entry in tree.items() if entry[0] != _GITLINK}


def _check_directory(entry: str, uri: str, subdirectory: str) -> None:
    kind = entry.split()[1] if entry else ""
    if kind == "commit":
        raise SourceInvalid(
            f"'{subdirectory}' is a submodule of {redact(uri)}. Name the submodule's own repository as the project."
        )
    if kind != "tree":
        why = " (it is a file)" if kind else ""
        raise SourceNotFound(f"Could not find subdirectory {subdirectory} of {redact(uri)}{why}")


def contents_of(
    session: Session, repository: Path, tree: Mapping[str, tuple[str, str]], wanted: Callable[[str], bool]
) -> tuple[dict[str, bytes], Outcome]:
    """The contents of the wanted files in the root, and the last call's outcome."""
    contents: dict[str, bytes] = {}
    outcome = Outcome(0, b"", "")
    for name in tree:
        if "/" in name or not wanted(name):
            continue
        path = name
        for _ in range(_LINKS_FOLLOWED):
            mode, blob = tree[path]
            outcome = session.attempt("cat-file", "-s", blob, within=repository)
            if outcome.status != 0:
                return contents, outcome
            if int(outcome.stdout) > LARGEST_TEXT:
                raise SourceInvalid(f"{name} of {redact(session.uri)} is larger than {LARGEST_TEXT >> 20} MiB.")
            outcome = session.attempt("cat-file", "blob", blob, within=repository)
            if mode != _SYMBOLIC_LINK:
                contents[name] = outcome.stdout
                break
            path = normpath(join(dirname(path), outcome.stdout.decode(errors="replace")))
            if path not in tree:
                break
    return contents, outcome
