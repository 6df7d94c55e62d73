"""A project on this machine, wherever it came from, for as long as somebody needs it.

What comes from Git or from an archive goes to a temporary directory that lives as long as its caller's ExitStack. A
directory of the user is used in place and never written to by us; a version of it is cloned away from it, so that a
work tree stays as it is.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlp.errors import UsageError
from mlp.source import locate, redact, repository_of

if TYPE_CHECKING:
    from contextlib import ExitStack

    from mlp.source import Access, Location, Resolution

__all__ = ["Brought", "bring"]

_FETCH_WITHIN: Final = 3600.0
"""Seconds for a repository with its submodules and large files. Which commit is meant is known much sooner."""

_USERNAME: Final = "MLFLOW_GIT_USERNAME"
_PASSWORD: Final = "MLFLOW_GIT_PASSWORD"  # noqa: S105 -- the name of a variable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Brought:
    """A project that lies here.

    Attributes:
        location: Where it comes from.
        resolution: The commit, for what came from Git.
        directory: Its directory.
    """

    location: Location
    resolution: Resolution | None
    directory: Path


def bring(
    uri: str,
    cleaning: ExitStack,
    *,
    subdirectory: str = "",
    version: str | None = None,
    submodules: bool = True,
    username: str | None = None,
    password: str | None = None,
) -> Brought:
    """Bring a project.

    Args:
        uri: A Git URL, ``user@host:path``, a directory or a zip archive; ``#subdirectory`` may follow.
        cleaning: What was fetched is gone when this is closed.
        subdirectory: The project's directory inside, for those who have it apart.
        version: A branch, tag or commit; None for what lies there now.
        submodules: Whether a repository's submodules are fetched too.
        username: The user for a server that is reached over HTTP; None for what MLFLOW_GIT_USERNAME says.
        password: Their password or token; None for what MLFLOW_GIT_PASSWORD says. Without either, the user's own
            credentials count.

    Raises:
        SourceError: There is no such project, or it cannot be reached.
        UsageError: A version of something that has none.
    """
    location = locate(uri, subdirectory=subdirectory, local=True)
    if location.kind == "directory" and version is None:
        return Brought(location, None, location.directory)
    # A process that the project's command left behind may still write there: no reason to fail at the very end.
    temporary = Path(cleaning.enter_context(tempfile.TemporaryDirectory(prefix="mlp-", ignore_cleanup_errors=True)))
    if location.kind == "archive":
        access = _access(location.uri, username, password)
        return Brought(location, None, _unpack(location, uri, version, temporary, access))
    # A directory on this machine needs nothing of Git.
    from mlp.source import Git  # noqa: PLC0415

    repository = repository_of(location)
    access = _access(repository.uri, username, password)
    resolution = Git(access).resolve(repository.uri, version)
    into = _named(repository, temporary)
    _log.info("=== Fetching project from %s into %s ===", redact(uri), into)
    Git(access, timeout=_FETCH_WITHIN).fetch(
        repository.uri,
        resolution.commit,
        into,
        ref=resolution.ref,
        subdirectory=repository.subdirectory,
        submodules=submodules,
        # Git LFS's own word for "leave the pointers".
        lfs=os.environ.get("GIT_LFS_SKIP_SMUDGE", "0").lower() not in {"1", "true", "yes", "on"},
    )
    _log.info("Fetched %s, commit %s", version or "the default branch", resolution.commit)
    return Brought(location, resolution, into / repository.subdirectory)


def _access(uri: str, username: str | None, password: str | None) -> Access:
    from mlp.source import Access  # noqa: PLC0415 -- as above

    if urlsplit(uri).scheme.lower() in {"http", "https"}:
        # Variables are set for whatever somebody runs; they must not keep anybody from a repository by SSH.
        username, password = username or os.environ.get(_USERNAME), password or os.environ.get(_PASSWORD)
    return Access.ambient(username=username, password=password)


def _unpack(location: Location, uri: str, version: str | None, temporary: Path, access: Access) -> Path:
    if version is not None:
        raise UsageError("Setting a version is only supported for Git project URIs")
    from mlp.source import fetch_archive  # noqa: PLC0415 -- as above

    into = _named(location, temporary)
    _log.info("=== Fetching project from %s into %s ===", redact(uri), into)
    return fetch_archive(location, into, access=access, timeout=_FETCH_WITHIN)


def _named(location: Location, temporary: Path) -> Path:
    """A repository's name is its project's, unless the project has another or lies in a subdirectory."""
    return temporary / replace(location, subdirectory="").name
