"""What is wrong with a run on Databricks, as far as it can be told before anything is uploaded.

The operator asks the same questions before it hands a run over, and the driver of the cluster once more; here a user
hears the answers at once. No workspace is asked: what a cluster may be, it knows itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlp.backends.databricks.compute import compute_of
from mlp.backends.databricks.fitting import NO_CONTAINERS, check_file
from mlp.backends.databricks.git_projects import git_provider, python_call, spark_python_call
from mlp.backends.databricks.places import check_here, check_remote, not_sent, path_there
from mlp.data import is_remote
from mlp.errors import MlpError, UsageError
from mlp.project import Problem, Project
from mlp.source import DirectoryFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlp.backends.checking import Call
    from mlp.resources import DatabricksBackend
    from mlp.resources.spec import ProjectRunSpec

__all__ = ["check_backend", "check_remote_call"]


@dataclass(frozen=True, slots=True)
class _Driver:
    """Paths as the driver of a cluster will understand them.

    Attributes:
        project: The project's directory, where all that will be there is in it; None where that is not known.
    """

    project: Path | None

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        del default
        if is_remote(value):
            check_remote(parameter, value)
            return value
        path = path_there(parameter, value)
        # Without a project at hand nothing is said about this machine, which may be a CI's.
        if self.project is not None:
            check_here(parameter, value, path)
            if not (self.project / path).exists() and not path.startswith("/"):
                raise not_sent(parameter, value)
        return value

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        del parameter, default
        return value


def check_backend(spec: ProjectRunSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """Look for what is wrong with spec.backend.databricks itself.

    Args:
        spec: A spec with that field.

    Yields:
        The field's path, and what is wrong.
    """
    backend = spec.backend.databricks
    if backend is None:
        return
    place = ("spec", "backend", "databricks")
    try:
        compute_of(backend)
    except UsageError as error:
        yield (*place, "serverless" if backend.cluster is None else "cluster"), str(error)
    if _is_fetched_there(backend) and spec.project.uri is not None:
        try:
            git_provider(spec.project.uri.partition("#")[0], backend.git_provider)
        except UsageError as error:
            yield (*place, "projectSource"), str(error)


def check_remote_call(directory: Path, call: Call, spec: ProjectRunSpec, *, whole: bool) -> Iterator[Problem]:
    """Look for what does not fit between a project and a run of it on Databricks.

    Args:
        directory: The project's directory.
        call: What is asked of it.
        spec: The run's spec.
        whole: Whether all that the run will have of the project is there.

    Raises:
        ProjectInvalid: The project itself is wrong.
    """
    files = DirectoryFiles(directory)
    project = Project.load(files)
    if project.environment.kind == "docker" and spec.environment.manager != "Local":
        yield Problem(NO_CONTAINERS, "error", project.file, reason=UsageError.reason)
    if (script := project.spark_script) is not None:
        try:
            check_file(files, script.file)
        except MlpError as error:
            yield Problem(str(error), "error", project.file, reason=error.reason)
        if call.parameters or call.entry_point not in {None, "main"}:
            yield Problem(
                "The entry point and the parameters do not count: the project's databricks_spark_job has a "
                "python_file, which gets the parameters that stand there.",
                "warning",
            )
        return
    name = call.entry_point or "main"
    places = _Driver(directory if whole else None)
    if (entry_point := project.entry_points.get(name)) is not None:
        yield from map(Problem.of, entry_point.faults(given=call.parameters))
    objections = project.objections(name, call.parameters, files=files, places=places)
    yield from objections
    of_spark = project.databricks_spark_job is not None
    backend = spec.backend.databricks
    if not of_spark and (backend is None or not _is_fetched_there(backend)):
        return
    values = {key: value for key, value in call.parameters.items() if value is not None}
    if len(values) != len(call.parameters) or any(problem.severity == "error" for problem in objections):
        return  # what the command will be is not known
    try:
        command = project.resolve(name, values, files=files, places=places).command
        file, _ = (spark_python_call if of_spark else python_call)(command)
        if whole:
            check_file(files, file)
    except MlpError as error:
        yield Problem(str(error), "error", reason=error.reason)


def _is_fetched_there(backend: DatabricksBackend) -> bool:
    return backend.project_source == "Git"
