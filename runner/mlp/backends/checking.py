"""What is wrong with a project before anything of it is run: all of it, with places.

`mlp.project` knows what is right; here the files are brought to it, and the environment file that a project names is
read too. Nothing here knows how problems are shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mlp.data import destination, is_remote
from mlp.errors import EnvironmentInvalid, MlpError
from mlp.project import Problem, Project, no_such_path
from mlp.source import DirectoryFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.project import Environment, Places

__all__ = ["Call", "Here", "check_environment", "check_project"]

_ELSEWHERE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PLACED: Final = re.compile(r"(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of a project.

    Attributes:
        entry_point: An entry point's name or a script's path; None for what the ProjectRun says, else nothing.
        parameters: Values by name; None is one that is given and not known here.
    """

    entry_point: str | None = None
    parameters: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Here:
    """Paths and URIs as this machine would understand them, with nothing downloaded.

    Attributes:
        project: The project's directory, where defaults are looked for after the current directory.
    """

    project: Path

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        """The value, if there is such a file or directory, or if it lies elsewhere.

        Raises:
            ParameterInvalid: There is none.
            DataInvalid: Nothing can be downloaded from such an address.
        """
        if is_remote(value):
            destination(value, self.project)
            return value
        bases = (Path.cwd(), self.project) if default else (Path.cwd(),)
        if not _ELSEWHERE.match(value) and not any((base / value).exists() for base in bases):
            raise no_such_path(parameter, value)
        return value

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """The value: a program may be about to write there."""
        del parameter, default
        return value


def check_project(directory: Path, call: Call, *, places: Places) -> tuple[Problem, ...]:
    """Look for everything that is wrong with a project, and with one call of it.

    Args:
        directory: The project's directory.
        call: What is asked of it; without an entry point, only the project is looked at.
        places: What paths and URIs mean where the command will run.
    """
    files = DirectoryFiles(directory)
    project, problems = Project.check(files)
    problems += tuple(check_environment(project.environment, directory))
    # An entry point that could not be read is there all the same.
    readable = project.file is None or not any(problem.severity == "error" for problem in problems)
    if call.entry_point is not None and (readable or call.entry_point in project.entry_points):
        problems += project.objections(call.entry_point, call.parameters, files=files, places=places)
    return problems


def check_environment(environment: Environment, directory: Path) -> Iterator[Problem]:
    """Look for what is wrong with the environment file that a project names.

    Args:
        environment: What the project asks for.
        directory: The project's directory.
    """
    if environment.file is None:
        return
    from mlp.environment import read  # noqa: PLC0415 -- only projects that have such a file need it

    kind: Literal["conda", "python"] = "conda" if environment.kind == "conda" else "python"
    try:
        specification = read(kind, directory / environment.file, project=directory)
    except EnvironmentInvalid as error:
        yield _placed(str(error), environment.file, "error", error.reason)
    except MlpError as error:  # something is not installed, or set up, here
        yield Problem(f"It could not be checked: {error}", "warning", environment.file)
    else:
        for warning in specification.warnings:
            yield _placed(warning, environment.file, "warning", None)


def _placed(text: str, file: str, severity: Literal["error", "warning"], reason: str | None) -> Problem:
    """A message as a problem of a file. It may begin with a place, in which the file stands without directories."""
    found = _PLACED.fullmatch(text)
    if found is None:
        return Problem(text, severity, file, reason=reason)
    inside = file if found["file"] == Path(file).name else found["file"]
    return Problem(found["message"], severity, inside, int(found["line"]), int(found["column"]), reason)
