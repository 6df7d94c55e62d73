"""What is wrong with a project that is about to be sent, seen from where it will run: only what was packed is there."""

from __future__ import annotations

import posixpath
import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.backends.checking import Call, check_project
from mlp.backends.remote_checking import check_remote_call
from mlp.data import destination, is_remote
from mlp.errors import DataInvalid, ParameterInvalid, ProjectInvalid
from mlp.project import Project, is_project_file
from mlp.source import DirectoryFiles
from mlp.source.bundle import unpack

if TYPE_CHECKING:
    from mlp.backends.cargo import Cargo
    from mlp.project import Problem
    from mlp.resources import ProjectRun

__all__ = ["check_sent"]

_READY_MADE: Final = frozenset({"Local", "Image"})
"""Managers that do not read the project's own environment file."""
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_LEADS_OUT: Final = re.compile(r"(?:\./)*\.\.(?:/|$)")


@dataclass(frozen=True, slots=True)
class _Pod:
    """Paths as the pod will understand them.

    Attributes:
        project: The project's directory, as it was packed.
        mounts: Where the run mounts volumes.
    """

    project: Path
    mounts: tuple[str, ...]

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        del default
        if is_remote(value):
            try:
                destination(value, self.project)
            except DataInvalid as error:
                raise ParameterInvalid(f"Parameter {parameter}: {error}") from None
            return value
        local = value.removeprefix("file://")
        if posixpath.isabs(local):
            self._check_absolute(parameter, value, local)
        elif not _URI.match(value) and not (self.project / value).exists():
            here = f" (there is one here: -P {parameter}=@{value})" if Path(value).is_file() else ""
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}, which is not among what is sent{here}. A "
                f"relative path is relative to the project. Send a small file along (-P {parameter}=@FILE), or name "
                "its URI (s3://…, https://…)."
            )
        return value

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        del parameter, default
        return value

    def _check_absolute(self, parameter: str, value: str, path: str) -> None:
        places = ("/mlp", *self.mounts)
        if Path(path).exists() and not any(path == place or path.startswith(f"{place}/") for place in places):
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}, which is a path of this machine. Send a small "
                f"file along (-P {parameter}=@{path}), or name its URI (s3://…, https://…)."
            )


def check_sent(cargo: Cargo, source: Path, run: ProjectRun) -> tuple[str, ...]:
    """Look for mistakes that the operator, or the command where it runs, would run into.

    Args:
        cargo: The packed project.
        source: The directory that was packed.
        run: The run that is asked for.

    Returns:
        What looks like a slip in the call, and is allowed: a parameter that is declared in almost the same words.

    Raises:
        ProjectInvalid: There are some. Each has a line.
    """
    kubernetes = run.spec.backend.kubernetes
    mounts = tuple(mount.mount_path for mount in (kubernetes.volume_mounts if kubernetes else None) or ())
    call = Call(
        run.spec.project.entry_point,
        {parameter.name: parameter.value for parameter in run.spec.parameters or ()},
    )
    with tempfile.TemporaryDirectory(prefix="mlp-check-") as temporary:
        archive = Path(temporary, "bundle.tar.gz")
        archive.write_bytes(cargo.bundle.content)
        # As the directory is called, so that messages say what its user knows.
        tree = Path(temporary, "tree", source.resolve().name or "project")
        unpack(archive, tree, sha256=cargo.bundle.sha256)
        directory = tree / cargo.subdirectory
        if not directory.is_dir():
            raise ProjectInvalid(
                f"The project's directory {cargo.subdirectory} is not among what is sent: it is empty, or ignored."
            )
        problems = _problems(directory, call, run, mounts)
        if run.spec.environment.manager in _READY_MADE:
            problems = tuple(problem for problem in problems if problem.file is None or is_project_file(problem.file))
        errors = [str(problem) for problem in problems if problem.severity == "error"]
        if not errors:
            errors = [*_leading_out(directory, call, tree, source)]
    if not errors:
        return tuple(str(problem) for problem in problems if problem.severity == "warning" and problem.file is None)
    hint = _advice(errors, source, cargo.subdirectory)
    raise ProjectInvalid("\n".join([*errors, *hint]))


def _problems(directory: Path, call: Call, run: ProjectRun, mounts: tuple[str, ...]) -> tuple[Problem, ...]:
    places = _Pod(directory, mounts)
    if run.spec.backend.databricks is None:
        return check_project(directory, call, places=places)
    problems = check_project(directory, Call(), places=places)
    if any(problem.severity == "error" for problem in problems):
        return problems
    return (*problems, *check_remote_call(directory, call, run.spec, whole=True))


def _leading_out(directory: Path, call: Call, tree: Path, source: Path) -> list[str]:
    """What the command names outside of what is sent, and is there on this machine."""
    entry_point = Project.load(DirectoryFiles(directory)).entry_points.get(call.entry_point or "main")
    try:
        words = shlex.split(entry_point.command, comments=True) if entry_point else []
    except ValueError:  # a quote that the shell would complain about
        words = []
    inside = directory.relative_to(tree)
    found = []
    for word in words:
        path = posixpath.normpath(posixpath.join(inside.as_posix(), word.rpartition("=")[2]))
        if _LEADS_OUT.match(path) and (source / path).exists():
            found.append(f"The command names {word}, which lies outside of what is sent.")
    return found


def _advice(errors: list[str], source: Path, subdirectory: str) -> list[str]:
    outside = any("outside" in error for error in errors)
    place = source.resolve()
    if not outside or place.parent == place:
        return []
    inside = posixpath.join(place.name, subdirectory).rstrip("/")
    return [f"To send the directory around it too: mlp submit {shlex.quote(f'{place.parent}#{inside}')}"]
