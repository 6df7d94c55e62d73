"""What is wrong with the ProjectRuns in a file before anyone is asked to run them: all of it, with places.

Two questions: is each a ProjectRun that a cluster would take, and does it fit its project. The second one is asked only
if the first is answered well, and only where the project is at hand. Nothing here knows how problems are shown.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.backends.bringing import bring
from mlp.backends.checking import Call, check_environment
from mlp.backends.manifest import read_text
from mlp.backends.remote_checking import check_backend, check_remote_call
from mlp.errors import EntryPointNotFound, ProjectInvalid, UsageError
from mlp.project import Problem, Project
from mlp.project.mlproject import parse_documents
from mlp.project.suggestion import nearest
from mlp.resources import ProjectRun
from mlp.source import DirectoryFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.project.values import Value
    from mlp.resources.spec import ProjectRunSpec

__all__ = ["check_manifest"]

# In these the project's own environment file is not read.
_READY_MADE: Final = frozenset({"Local", "Image"})


class _Anywhere:
    """Paths and URIs of a run on another machine, about whose files nothing can be said."""

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        del parameter, default
        return value

    uri = path


def check_manifest(
    file: str, call: Call, *, project: str | None = None, version: str | None = None, resolve: bool = False
) -> tuple[Problem, ...]:
    """Look for everything that is wrong with the ProjectRuns in a YAML file, and with what they ask of their projects.

    Args:
        file: Its path; ``-`` is standard input.
        call: What is asked for instead of the file's entry point, and beside its parameters.
        project: Where to take the project from instead.
        version: A version of that one.
        resolve: Whether projects are fetched from where the file says.

    Raises:
        UsageError: The file cannot be read.
        SourceError: A project cannot be brought.
    """
    name, text = read_text(file)
    try:
        documents = parse_documents(name, text)
    except ProjectInvalid as error:
        return (Problem.of(error),)
    runs = [document for document in documents if _is_meant_for_us(document.data)]
    if not runs:
        return (_nothing(name),)
    problems: list[Problem] = []
    with ExitStack() as cleaning:
        # The project that all are held against is brought once.
        directory = None if project is None else bring(project, cleaning, version=version).directory
        for document in runs:
            mistakes = _manifest_problems(document)
            problems += mistakes or _call_problems(document, call, directory, resolve=resolve)
    return tuple(problems)


def _is_meant_for_us(data: object) -> bool:
    """Whether an object is a ProjectRun, or was meant to be one. Other kinds may stand in the same file."""
    if not isinstance(data, dict):
        return True
    group = str(data.get("apiVersion", "")).partition("/")[0]
    kind = data.get("kind")
    return group == "mlp.dev" or nearest(str(kind), ["ProjectRun"]) is not None or (kind is None and "spec" in data)


def _nothing(name: str) -> Problem:
    advice = "a ProjectRun begins with 'apiVersion: mlp.dev/v1alpha1'"
    if Path(name).stem.lower() == "mlproject":
        advice = "the file that describes a project is called MLproject, without an ending"
    return Problem(f"There is no ProjectRun in it; {advice}.", file=name, reason=UsageError.reason)


def _manifest_problems(document: Value) -> list[Problem]:
    if not isinstance(document.data, dict):
        return [_at(document, (), f"a ProjectRun is an object, and this is {document.kind}.")]
    problems = [
        replace(_at(document, (), f"{key!r} is given twice; Kubernetes refuses that"), line=at.line, column=at.column)
        for key, at in document.repeated_keys()
    ]
    problems += [_at(document, mistake.location, str(mistake)) for mistake in ProjectRun.mistakes(document.data)]
    if not problems:
        spec = ProjectRun.parse(document.data).spec
        problems += [_at(document, path, f"{'.'.join(path)}: {message}") for path, message in check_backend(spec)]
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))


def _at(document: Value, path: tuple[str | int, ...], message: str) -> Problem:
    place = document.place(path)
    return Problem(message, "error", place.file, place.line, place.column, UsageError.reason)


def _call_problems(document: Value, call: Call, directory: Path | None, *, resolve: bool) -> Iterator[Problem]:
    """What does not fit between a ProjectRun and its project; nothing if the project is not at hand."""
    assert isinstance(document.data, dict)  # noqa: S101 -- it has been found to be a ProjectRun
    spec = ProjectRun.parse(document.data).spec
    source = spec.project
    given = {parameter.name: parameter.value for parameter in spec.parameters or ()}
    asked = Call(call.entry_point or source.entry_point, {**given, **call.parameters})
    with ExitStack() as cleaning:
        if directory is None:
            if source.uri is None or not (resolve or source.uri.startswith("file:")):
                return
            brought = bring(source.uri, cleaning, subdirectory=source.subdirectory, version=source.version)
            directory = brought.directory
        for problem in _misfits(directory, asked, spec):
            place = document.place(_field(problem, list(given)))
            message = f"In its project, {problem}" if problem.file else problem.message
            yield replace(problem, message=message, file=place.file, line=place.line, column=place.column)


def _misfits(directory: Path, call: Call, spec: ProjectRunSpec) -> Iterator[Problem]:
    files = DirectoryFiles(directory)
    try:
        project = Project.load(files)
    except ProjectInvalid as error:
        yield Problem.of(error)
        return
    if spec.backend.databricks is not None:
        yield from check_remote_call(directory, call, spec, whole=False)
    else:
        yield from _objections(project, call, files)
    if spec.environment.manager not in _READY_MADE:
        yield from check_environment(project.environment, directory)


def _objections(project: Project, call: Call, files: DirectoryFiles) -> Iterator[Problem]:
    name = str(call.entry_point)
    if (entry_point := project.entry_points.get(name)) is not None:
        yield from map(Problem.of, entry_point.faults(given=call.parameters))
    yield from project.objections(name, call.parameters, files=files, places=_Anywhere())


def _field(problem: Problem, given: list[str]) -> tuple[str | int, ...]:
    """The field of a ProjectRun that a problem concerns."""
    if problem.file is not None:
        return ("spec", "project")
    if problem.parameter in given:
        return ("spec", "parameters", given.index(problem.parameter), "value")
    if problem.reason == EntryPointNotFound.reason:
        return ("spec", "project", "entryPoint")
    return ("spec", "parameters")
