"""Where a project came from, in the words in which MLflow records it with a run.

A run that somebody finds a year later has to say which code it was: its source's name, the repository, the commit, the
branch. Credentials are no part of that. The user's own repositories are only asked, nothing in them changes. It must
not know of runs or of their tags.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlp.source import program
from mlp.source.access import own_environment
from mlp.source.location import transport
from mlp.source.redaction import without_user

if TYPE_CHECKING:
    from mlp.source.location import Location
    from mlp.source.versions import Resolution

__all__ = ["Provenance", "provenance", "repository_provenance"]

_TIMEOUT: Final = 30.0
_BRANCH: Final = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is recorded of a run's source.

    Attributes:
        name: A Git or archive URI with ``#subdirectory``; ``file://TOP#SUBDIRECTORY`` for a directory in a repository;
            the path of any other directory.
        repository: The repository's address, without credentials.
        commit: 40 hexadecimal digits; None where no commit holds the project.
        branch: The branch that was asked for as a version.
    """

    name: str
    repository: str | None = None
    commit: str | None = None
    branch: str | None = None


def provenance(location: Location, resolution: Resolution | None, directory: Path) -> Provenance:
    """Tell where a project came from.

    Args:
        location: What `locate` or `repository_of` found.
        resolution: What Git found, where it brought the project.
        directory: Where the project lies now; looked at where the project is used in place.
    """
    if location.kind == "archive":
        return Provenance(_with(without_user(location.uri), location.subdirectory))
    if location.kind == "directory":
        here = _in_place(location.directory)
        # A version of it is a clone of the repository around it; what HEAD holds does not matter then.
        return here if resolution is None else replace(here, commit=resolution.commit, branch=_branch(resolution))
    if resolution is None:
        return _in_place(directory)
    if work_tree := _work_tree(location.uri):
        name = _with(f"file://{work_tree}", location.subdirectory)
        return Provenance(name, _first_remote(work_tree), resolution.commit, _branch(resolution))
    return repository_provenance(location.uri, location.subdirectory, resolution)


def repository_provenance(uri: str, subdirectory: str, resolution: Resolution) -> Provenance:
    """Tell what comes from a repository elsewhere. Looks at nothing.

    Args:
        uri: The repository's address.
        subdirectory: The project's directory in it.
        resolution: What Git found.
    """
    repository = without_user(uri)
    return Provenance(_with(repository, subdirectory), repository, resolution.commit, _branch(resolution))


def _branch(resolution: Resolution) -> str | None:
    ref, version = resolution.ref or "", (resolution.version or "").strip()
    name = ref.removeprefix(_BRANCH)
    return name if ref.startswith(_BRANCH) and version in {name, ref} else None


def _work_tree(uri: str) -> Path | None:
    """The work tree on this machine that a URI of Git's leads to."""
    if transport(uri)[0] != "file":
        return None
    path = Path(unquote(urlsplit(uri).path))
    return path if (path / ".git").exists() else None


def _in_place(directory: Path) -> Provenance:
    place = directory.resolve()
    lines = _ask(place, "rev-parse", "--show-toplevel", "--show-prefix")
    if not lines:
        return Provenance(str(directory.absolute()))
    top, prefix = lines[0], (lines[1] if len(lines) > 1 else "").rstrip("/")
    # The second fails where HEAD does not hold the directory: nobody has committed it, or it is ignored.
    here = _ask(place, "rev-parse", "--quiet", "HEAD^{commit}", "HEAD:./")
    return Provenance(_with(f"file://{top}", prefix), _first_remote(place), here[0] if here else None)


def _first_remote(place: Path) -> str | None:
    lines = _ask(place, "config", "--local", "--get-regexp", r"^remote\..*\.url$")
    return without_user(lines[0].partition(" ")[2]) if lines else None


def _ask(place: Path, *arguments: str) -> list[str]:
    """What Git says of a directory; nothing if it fails, is not there, or the directory is in no repository."""
    environment = own_environment()
    with contextlib.suppress(OSError, program.TimedOut):
        deadline = program.Deadline.after(_TIMEOUT)
        outcome = program.run(["git", *arguments], environment=environment, deadline=deadline, directory=place)
        if outcome.status == 0:
            return os.fsdecode(outcome.stdout).splitlines()
    return []


def _with(uri: str, subdirectory: str) -> str:
    return f"{uri}#{subdirectory}" if subdirectory else uri
