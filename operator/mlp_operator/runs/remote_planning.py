"""From what a user asks and what the project says to what is handed over to Databricks. Pure.

The project is resolved here once, so that a user's mistakes end before a cluster is started for them, and once more on
the driver, by the same code, where paths and downloads are real. What a run there cannot have is refused by name.
"""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, cast

from mlp.backends.databricks.fitting import NO_CONTAINERS, check_file
from mlp.backends.databricks.git_projects import python_call, spark_python_call
from mlp.backends.databricks.places import DATA_DIRECTORY, PROJECT_DIRECTORY, download_path, path_there
from mlp.data import directory_name, is_remote
from mlp.errors import UsageError
from mlp.project import Project
from mlp.resources.plan import Plan, PlannedDownload, PlannedProject
from mlp_operator.runs.handing_over import directory_of, task_of
from mlp_operator.runs.planning import Resolved, as_planned, check_reach, check_size
from mlp_operator.runs.surroundings import choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlp.project import ProjectFiles
    from mlp.resources import ProjectRun
    from mlp.resources.plan import PlannedSource
    from mlp_operator.runs.recording import TrackingServer

__all__ = ["DriverPlaces", "plan_remote_run", "refuse_for_databricks"]

_NO_SECRETS: Final = (
    "spec.parameters: the value of {name} is in a Secret, and would have to leave the cluster. Put it into a secret "
    "scope of the workspace, and name that in spec.backend.databricks.cluster.newCluster.spark_env_vars as "
    "{{{{secrets/SCOPE/KEY}}}}."
)


@dataclass(frozen=True, slots=True)
class DriverPlaces:
    """What paths and URIs mean on the driver of a cluster.

    Attributes:
        directory: The run's own directory there.
        subdirectory: The project's directory in the archive.
        downloads: What has to be brought, as far as `path` has been asked.
    """

    directory: str
    subdirectory: str = ""
    downloads: list[PlannedDownload] = field(default_factory=list)

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        """A path of the driver: of the project, or of what will be downloaded.

        Raises:
            ParameterInvalid: It is a path of somebody's own machine, or a URI that nothing can be downloaded from.
        """
        del default
        if is_remote(value):
            into = PurePosixPath(self.directory, DATA_DIRECTORY, directory_name(parameter))
            path = download_path(parameter, value, cast("Path", into))
            self.downloads.append(PlannedDownload(parameter=parameter, uri=value, path=path))
            return path
        return self._below(path_there(parameter, value))

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """A URI without a scheme is a path of the driver; what it names need not be there yet."""
        del parameter, default
        return self._below(value)

    def _below(self, value: str) -> str:
        return posixpath.normpath(posixpath.join(self.directory, PROJECT_DIRECTORY, self.subdirectory, value))


def refuse_for_databricks(run: ProjectRun) -> None:
    """Refuse what a run on Databricks cannot have, instead of ignoring it. Stored objects may be older than the rules.

    Raises:
        UsageError: The message names the field, and the way out.
    """
    for message in _objections(run):
        raise UsageError(message)


def _objections(run: ProjectRun) -> Iterator[str]:
    spec = run.spec
    for parameter in spec.parameters or ():
        if parameter.value_from is not None and parameter.value_from.secret_key_ref is not None:
            yield _NO_SECRETS.format(name=parameter.name)
    if spec.environment.image is not None or spec.environment.manager == "Image":
        yield "spec.environment.image: a run on Databricks has the runtime of its cluster, not an image. Leave it out."
    if spec.environment.secret_ref is not None or spec.environment.cache is not None:
        yield (
            "spec.environment.secretRef and cache are for the backend Kubernetes: a run on Databricks builds its "
            "environment on its cluster, and no Secret goes there. Leave them out."
        )
    if spec.data is not None and spec.data.secret_ref is not None and spec.project.bundle is None:
        yield (
            "spec.data.secretRef: the data is downloaded on Databricks, where no Secret goes. Give the cluster an "
            "instance profile, or take the data from /Volumes; leave the field out."
        )
    backend = spec.backend.databricks
    if backend is not None and backend.project_source == "Git" and spec.project.bundle is not None:
        yield "spec.backend.databricks.projectSource Git needs spec.project.uri; a bundle is uploaded. Leave it out."


def plan_remote_run(
    run: ProjectRun,
    *,
    files: ProjectFiles,
    source: PlannedSource,
    values: Mapping[str, str],
    tracking: TrackingServer | None,
) -> Resolved:
    """Read the project, type its parameters, form its command as it will be on the driver.

    Args:
        run: What the user asks for.
        files: The project's files.
        source: Where they come from.
        values: The values of the parameters.
        tracking: The tracking server, if there is one.

    Raises:
        ProjectError: The project or the parameters are at fault.
        UsageError: The run asks for something that does not fit the project.
    """
    project = Project.load(files)
    manager = "Local"
    if run.spec.environment.manager != "Local":
        if project.environment.kind == "docker":
            raise UsageError(NO_CONTAINERS)
        manager = choose(run, project.environment).manager
    places = DriverPlaces(directory_of(run), source.subdirectory)
    planned = _planned(project, run, values, files, places, manager)
    check_reach(places.downloads, tracking)
    plan = Plan(
        source=source,
        project=planned,
        downloads=tuple(places.downloads),
        tracking_uri=None if tracking is None else tracking.uri,
    )
    check_size(plan)
    libraries = (project.databricks_spark_job or {}).get("python_libraries") or ()
    resolved = Resolved(plan, given=tuple(values.items()), python_libraries=tuple(map(str, libraries)))
    backend = run.spec.backend.databricks
    if backend is not None:
        # For trial: what is wrong with a cluster is told now, when it can end the run.
        task_of(run, backend, resolved, token="", tracked=None, tracking_uri=None)
    return resolved


def _planned(
    project: Project,
    run: ProjectRun,
    values: Mapping[str, str],
    files: ProjectFiles,
    places: DriverPlaces,
    manager: str,
) -> PlannedProject:
    script = project.spark_script
    entry_point = run.spec.project.entry_point
    if script is None:
        invocation = project.resolve(entry_point, values, files=files, places=places)
        if (called := _called(project, run, invocation.command)) is not None:
            _check_file(run, files, called)
        return as_planned(invocation, manager, places.downloads)
    _check_file(run, files, script.file)
    # Such a job has parameters of its own, and MLflow passes over those that are given.
    command = shlex.join(("python", script.file, *script.arguments))
    return PlannedProject(name=project.name, entry_point=entry_point, command=command, manager=manager)


def _called(project: Project, run: ProjectRun, command: str) -> str | None:
    """The Python file that Databricks itself will execute; None for a command that the driver gives to a shell.

    Raises:
        UsageError: Databricks cannot execute the command.
    """
    backend = run.spec.backend.databricks
    if project.databricks_spark_job is not None:
        return spark_python_call(command)[0]
    if backend is not None and backend.project_source == "Git":
        return python_call(command)[0]
    return None


def _check_file(run: ProjectRun, files: ProjectFiles, file: str) -> None:
    # A submodule's files are in a commit of their own, and what is one is not known here.
    of_submodule = run.spec.project.bundle is None and run.spec.project.submodules and "/" in posixpath.normpath(file)
    if not of_submodule:
        check_file(files, file)
