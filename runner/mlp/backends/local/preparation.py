"""From a request to a command that is known: bring the project, read it, resolve its parameters.

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
from typing import TYPE_CHECKING

from mlp.backends.local.downloads import Downloads
from mlp.backends.local.places import LocalPlaces
from mlp.errors import UsageError
from mlp.project import Project
from mlp.source import DirectoryFiles, locate, redact, repository_of

if TYPE_CHECKING:
    from contextlib import ExitStack

    from mlp.backends.local.request import Request
    from mlp.project import Invocation
    from mlp.source import Location, Resolution

__all__ = ["Known", "bring_and_resolve"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a run before anything of it is started.

    Attributes:
        location: Where the project comes from.
        resolution: The commit, for what came from Git.
        directory: The project's directory, in which the command runs.
        invocation: The entry point's command and parameters.
        downloads: The data that its parameters name on other machines.
    """

    location: Location
    resolution: Resolution | None
    directory: Path
    invocation: Invocation
    downloads: Downloads

    def local_paths(self) -> tuple[Path, ...]:
        """The files and directories that ``path`` parameters name, here or once downloaded."""
        return tuple(Path(each.value) for each in self.invocation.parameters if each.type == "path")


def bring_and_resolve(request: Request, cleaning: ExitStack) -> Known:
    """Bring the project and form the command.

    Args:
        request: What is asked for.
        cleaning: What was fetched is gone when this is closed.

    Raises:
        MlpError: Anything that is wrong with the request, the source or the project.
    """
    location = locate(request.uri, subdirectory=request.subdirectory, local=True)
    resolution = None
    if location.kind == "directory" and request.version is None:
        directory = location.directory
    else:
        # A process that the command left behind may still write there: no reason to fail at the very end.
        temporary = Path(cleaning.enter_context(tempfile.TemporaryDirectory(prefix="mlp-", ignore_cleanup_errors=True)))
        if location.kind == "archive":
            directory = _unpack(location, request, temporary)
        else:
            directory, resolution = _fetch(repository_of(location), request, temporary)
    downloads = Downloads(request.storage_dir, cleaning)
    return Known(location, resolution, directory, _resolve(request, directory, downloads), downloads)


def _fetch(location: Location, request: Request, temporary: Path) -> tuple[Path, Resolution]:
    # A directory on this machine needs nothing of Git.
    from mlp.source import Access, Git  # noqa: PLC0415

    git = Git(Access.ambient(username=request.username, password=request.password))
    resolution = git.resolve(location.uri, request.version)
    # A repository's name is its project's, unless the project has another or lies in a subdirectory.
    into = temporary / replace(location, subdirectory="").name
    _log.info("=== Fetching project from %s into %s ===", redact(request.uri), into)
    git.fetch(
        location.uri,
        resolution.commit,
        into,
        ref=resolution.ref,
        subdirectory=location.subdirectory,
        submodules=request.submodules,
    )
    _log.info("Fetched %s, commit %s", request.version or "the default branch", resolution.commit)
    return into / location.subdirectory, resolution


def _unpack(location: Location, request: Request, temporary: Path) -> Path:
    if request.version is not None:
        raise UsageError("Setting a version is only supported for Git project URIs")
    # requests takes 0.1 s to import, which projects from elsewhere need not pay.
    from mlp.source import fetch_archive  # noqa: PLC0415

    _log.info("=== Fetching project from %s into %s ===", redact(request.uri), temporary)
    return fetch_archive(location, temporary / replace(location, subdirectory="").name)


def _resolve(request: Request, directory: Path, downloads: Downloads) -> Invocation:
    files = DirectoryFiles(directory)
    project = Project.load(files)
    invocation = project.resolve(
        request.entry_point,
        request.parameters,
        files=files,
        places=LocalPlaces(caller=Path.cwd(), project=directory, downloads=downloads),
        # As MLflow does: .sh files run in the shell of the one who starts them.
        shell=os.environ.get("SHELL") or "bash",
        validate=request.validate,
    )
    for warning in (*project.warnings, *invocation.warnings):
        _log.warning("%s", warning)
    return invocation
