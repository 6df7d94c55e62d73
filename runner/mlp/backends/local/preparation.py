"""From a request to a command that can be executed: bring the project, read it, resolve its parameters.

What comes from Git goes to a temporary directory that lives as long as the context manager. A directory of the user is
used in place and never written to by us; a version of it is cloned away from it, so that a work tree stays as it is.
"""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.backends.local.environment import check_manager, variables
from mlp.backends.local.places import LocalPlaces
from mlp.project import Project
from mlp.source import DirectoryFiles, locate, redact, repository_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.backends.local.request import Request
    from mlp.project import Invocation
    from mlp.source import Location

__all__ = ["Prepared", "prepare"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is needed to execute an entry point.

    Attributes:
        invocation: The entry point's command and parameters.
        directory: The project's directory, in which the command runs.
        variables: The command's environment variables, all of them.
    """

    invocation: Invocation
    directory: Path
    variables: Mapping[str, str]


@contextmanager
def prepare(request: Request) -> Iterator[Prepared]:
    """Bring the project and form the command. What was fetched is gone at the end.

    Raises:
        MlpError: Anything that is wrong with the request, the source or the project.
    """
    check_manager(request.env_manager)
    location = locate(request.uri, subdirectory=request.subdirectory, local=True)
    if location.kind == "directory" and request.version is None:
        yield _resolve(request, location.directory)
        return
    # A process that the command left behind may still write there: no reason to fail at the very end.
    with tempfile.TemporaryDirectory(prefix="mlp-", ignore_cleanup_errors=True) as temporary:
        yield _resolve(request, _fetch(repository_of(location), request, Path(temporary)))


def _fetch(location: Location, request: Request, temporary: Path) -> Path:
    # A directory on this machine needs nothing of Git.
    from mlp.source import Access, Git  # noqa: PLC0415

    git = Git(Access.ambient())
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
    return into / location.subdirectory


def _resolve(request: Request, directory: Path) -> Prepared:
    files = DirectoryFiles(directory)
    project = Project.load(files)
    invocation = project.resolve(
        request.entry_point,
        request.parameters,
        files=files,
        places=LocalPlaces(caller=Path.cwd(), project=directory),
        # As MLflow does: .sh files run in the shell of the one who starts them.
        shell=os.environ.get("SHELL") or "bash",
        validate=request.validate,
    )
    for warning in (*project.warnings, *invocation.warnings):
        _log.warning("%s", warning)
    return Prepared(
        invocation=invocation,
        directory=directory,
        variables=variables(invocation.environment, request.env_manager),
    )
