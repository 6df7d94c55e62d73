"""From a request to a command that is known: bring the project, read it, resolve its parameters.

Nothing is downloaded for parameters yet, and no environment is built: what can be wrong with a request is told first.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.backends.bringing import bring
from mlp.backends.local.environment import chosen_manager
from mlp.backends.local.places import LocalPlaces
from mlp.project import Project
from mlp.source import DirectoryFiles

if TYPE_CHECKING:
    from contextlib import ExitStack

    from mlp.backends.local.downloads import Downloads
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


def bring_and_resolve(request: Request, cleaning: ExitStack, downloads: Downloads) -> Known:
    """Bring the project and form the command.

    Args:
        request: What is asked for.
        cleaning: What was fetched is gone when this is closed.
        downloads: Is told what data has to be brought.

    Raises:
        MlpError: Anything that is wrong with the request, the source or the project.
    """
    brought = bring(
        request.uri,
        cleaning,
        subdirectory=request.subdirectory,
        version=request.version,
        submodules=request.submodules,
        username=request.username,
        password=request.password,
    )
    invocation = _resolve(request, brought.directory, downloads)
    return Known(brought.location, brought.resolution, brought.directory, invocation, downloads)


def _resolve(request: Request, directory: Path, downloads: Downloads) -> Invocation:
    files = DirectoryFiles(directory)
    project = Project.load(files)
    invocation = project.resolve(
        request.entry_point,
        request.parameters,
        files=files,
        places=LocalPlaces(caller=Path.cwd(), project=directory, downloads=downloads),
        shell=_shell(project, request),
        validate=request.validate,
    )
    for warning in (*project.warnings, *invocation.warnings):
        _log.warning("%s", warning)
    return invocation


def _shell(project: Project, request: Request) -> str:
    """The shell for entry points that are .sh files: as with MLflow, that of the one who starts them.

    A container has its own programs.
    """
    if project.environment.kind == "docker" and chosen_manager(request.env_manager) != "local":
        return "bash"
    return os.environ.get("SHELL") or "bash"
