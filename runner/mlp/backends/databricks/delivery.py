"""Bringing to a workspace what a run needs there: the project, mlp itself, and the program that puts them together.

Every name tells its content, so what is there is never sent again, and two who send it at once send the same. Where
the files will lie is known before anything is sent.
"""

from __future__ import annotations

import hashlib
import posixpath
import threading
import time
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from mlp.backends.databricks.body import Uploaded, assignment_json, fits_arguments
from mlp.backends.databricks.runtime import runtime
from mlp.errors import UsageError
from mlp.source.bundle.packing import size_in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.backends.databricks.task import ArchivedProject, RemoteTask
    from mlp.backends.databricks.workspace import Workspace

__all__ = ["WORKSPACE_FILE_LIMIT", "Delivery", "plan_delivery"]

WORKSPACE_FILE_LIMIT: Final = 10_000_000
"""Bytes of a file that workspace/import takes."""

_REMEMBERED: Final = 60.0
"""Seconds for which a file that was there is taken to be there still."""
_DIGITS: Final = 32
_PROJECT: Final = "the project"

_seen: WeakKeyDictionary[Workspace, dict[str, float]] = WeakKeyDictionary()
_seeing = threading.Lock()


@dataclass(frozen=True, slots=True)
class _File:
    """One file to be sent: where to, what it is for people, and what is in it."""

    path: str
    what: str
    content: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent for one run, and where it will lie.

    Attributes:
        places: Where the files will lie.
        files: Those that have to be there.
    """

    places: Uploaded
    files: tuple[_File, ...]

    def send(self, workspace: Workspace, *, before_project: Callable[[], None] = lambda: None) -> None:
        """Send what is not there.

        Args:
            workspace: Where to.
            before_project: Called when the project is not there, and is sent next.

        Raises:
            UsageError: A file is larger than the workspace takes.
            WorkspaceError: The workspace did not take it.
        """
        for file in self.files:
            if not _is_there(workspace, file):
                if file.what == _PROJECT:
                    before_project()
                workspace.put(file.path, _checked(file))
                _remember(workspace, file.path)


def plan_delivery(
    workspace: Workspace, task: RemoteTask, project: ArchivedProject, archive: Callable[[], bytes]
) -> Delivery:
    """Decide where the files of a task lie.

    Args:
        workspace: Where; asked for the user's name if the task does not name a directory.
        task: What is to be run.
        project: Its project.
        archive: Packs the project. Called only if it is not there.

    Raises:
        UsageError: Whoever the run is for could not read what is sent.
        WorkspaceError: The workspace does not tell who we are.
    """
    directory = task.upload_to or _home(workspace, task)
    directory = directory.removeprefix("dbfs:") if directory.startswith("dbfs:/Volumes/") else directory
    wheel, program, told = runtime(), _bootstrap(), assignment_json(task.assignment)
    files = {
        "runtime": _File(posixpath.join(directory, wheel.name), "mlp itself", lambda: wheel.content),
        "bootstrap": _File(
            posixpath.join(_for_program(workspace, task, directory), f"bootstrap-{_digest(program)}.py"),
            "the bootstrap",
            lambda: program,
        ),
        "project": _File(posixpath.join(directory, f"project-{project.key}.tar.gz"), _PROJECT, archive),
    }
    if not fits_arguments(told):
        content = told.encode()
        files["assignment"] = _File(
            posixpath.join(directory, f"assignment-{_digest(content)}.json"), "the run's parameters", lambda: content
        )
    on_driver = {name: _on_driver(file.path) for name, file in files.items()}
    places = Uploaded(
        bootstrap=_as_program(files["bootstrap"].path),
        runtime=on_driver["runtime"],
        project=on_driver["project"],
        assignment=on_driver.get("assignment"),
    )
    return Delivery(places, tuple(files.values()))


def _for_program(workspace: Workspace, task: RemoteTask, directory: str) -> str:
    """Where the Python file of the task lies: on serverless compute among the workspace's files.

    That is the one place of which all documents agree that serverless compute runs a Python file from there.
    """
    if task.compute.serverless and not directory.startswith("/Workspace/") and task.run_as is None:
        return _home(workspace, task)
    return directory


def _home(workspace: Workspace, task: RemoteTask) -> str:
    me = workspace.user_name()
    home = f"/Workspace/Users/{me}/.mlp"
    if task.run_as is not None and me not in task.run_as.values():
        raise UsageError(
            f"The run is to have the rights of {', '.join(task.run_as.values())}, who cannot read {home}. Name a "
            "directory that both can use as upload_to (uploadTo of a ProjectRun): /Volumes/CATALOG/SCHEMA/VOLUME/… or "
            "/Workspace/Shared/…"
        )
    return home


def _bootstrap() -> bytes:
    return resources.files(__package__).joinpath("bootstrap.py").read_bytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _on_driver(path: str) -> str:
    """A path as programs on the driver open it."""
    return f"/dbfs{path.removeprefix('dbfs:')}" if path.startswith("dbfs:") else path


def _as_program(path: str) -> str:
    """A path as the Jobs API has it of a Python file: what is no workspace file is named by a URI."""
    return f"dbfs:{path}" if path.startswith("/Volumes/") else path


def _checked(file: _File) -> bytes:
    content = file.content()
    if file.path.startswith("/Workspace/") and len(content) > WORKSPACE_FILE_LIMIT:
        raise UsageError(
            f"{file.what[0].upper()}{file.what[1:]} has {size_in_words(len(content))} when packed, and a workspace's "
            f"files may have {size_in_words(WORKSPACE_FILE_LIMIT)}. Upload it to a volume: "
            "upload_to: /Volumes/CATALOG/SCHEMA/VOLUME/DIRECTORY (uploadTo of a ProjectRun). "
            "A file .mlpignore keeps out what the run does not need."
        )
    return content


def _is_there(workspace: Workspace, file: _File) -> bool:
    path = file.path
    with _seeing:
        seen = _seen.setdefault(workspace, {}).get(path)
    if seen is not None and time.monotonic() - seen < _REMEMBERED:
        return True
    # On DBFS alone a file grows where it lies, so one that is there may be a part.
    size = len(file.content()) if path.startswith("dbfs:") else None
    if workspace.exists(path, size=size):
        _remember(workspace, path)
        return True
    return False


def _remember(workspace: Workspace, path: str) -> None:
    now = time.monotonic()
    with _seeing:
        seen = _seen.setdefault(workspace, {})
        seen[path] = now
        for old in [each for each, at in seen.items() if now - at >= _REMEMBERED]:
            del seen[old]
