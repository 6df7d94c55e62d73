"""From a request to what is sent to Databricks: the project brought and packed here, its call checked, nothing sent.

What can be wrong with a request is told on this machine, in a second, and not by a cluster ten minutes later. A Git
repository is fetched with its user's own credentials; they end here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from mlp.backends.bringing import bring
from mlp.backends.cargo import Cargo
from mlp.backends.databricks.compute import with_python_libraries
from mlp.backends.databricks.delivery import WORKSPACE_FILE_LIMIT
from mlp.backends.databricks.fitting import NO_CONTAINERS, check_file
from mlp.backends.databricks.git_projects import git_provider, in_repository, python_call, spark_python_call
from mlp.backends.databricks.places import ClusterPlaces
from mlp.backends.databricks.task import ArchivedProject, GitProject
from mlp.environment import check_manager
from mlp.errors import AuthenticationFailed, ExecutionException, FieldNotSupported, UsageError
from mlp.project import Project
from mlp.source import DirectoryFiles, redact, repository_of
from mlp.source.bundle import BOUNDS, pack, pack_checkout
from mlp.source.changes import sent_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from mlp.backends.bringing import Brought
    from mlp.backends.databricks.configuration import Configuration
    from mlp.backends.databricks.task import Compute
    from mlp.backends.local import Request

__all__ = ["Prepared", "prepare", "refuse"]

_MANAGERS: Final = {"uv": "virtualenv"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request, checked and ready to be sent.

    Attributes:
        brought: The project as it lies here.
        project: How it gets to the cluster.
        archive: The packed project; empty for one that the workspace fetches itself.
        said: What and how much is sent, for people.
        tags: What its record in MLflow says of what was sent.
        project_name: The project's name.
        parameters: The values as they are recorded: given ones and defaults.
        given: The values as the run gets them.
        manager: The environment manager that was asked for.
        compute: What the run gets to run on, with the libraries that the project asks for.
    """

    brought: Brought
    project: ArchivedProject | GitProject
    archive: bytes = field(repr=False)
    said: str
    tags: Mapping[str, str]
    project_name: str
    parameters: Mapping[str, str]
    given: Mapping[str, str]
    manager: str | None
    compute: Compute


@dataclass(frozen=True, slots=True)
class _Call:
    """What is executed: the Python file of a databricks_spark_job with its arguments, or else a command."""

    spark: tuple[str, tuple[str, ...]] | None
    command: str | None
    parameters: Mapping[str, str]
    given: Mapping[str, str]


def refuse(request: Request) -> None:
    """Refuse what has no meaning on Databricks; say what has none there and does no harm.

    Raises:
        FieldNotSupported: The request has such a thing.
        UsageError: There is no such environment manager.
    """
    check_manager(request.env_manager)
    if request.docker_args:
        raise FieldNotSupported("The backend databricks does not take docker_args (-A): nothing runs in a container.")
    if request.secrets:
        raise FieldNotSupported(
            f"The backend databricks does not take secret parameters ({', '.join(sorted(request.secrets))}): no secret "
            "travels to Databricks. Put them into a secret scope, and name them in spark_env_vars of the new cluster "
            "as {{secrets/SCOPE/KEY}}."
        )
    if request.storage_dir is not None:
        _log.info("storage_dir is not used: data for path parameters is downloaded on the cluster.")


def prepare(request: Request, settings: Configuration, cleaning: ExitStack) -> Prepared:
    """Bring the project, check the call and pack what is sent.

    Args:
        request: What is asked for.
        settings: Where it is to run, and how.
        cleaning: What was fetched is gone when this is closed.

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
    project = Project.load(DirectoryFiles(brought.directory))
    if project.environment.kind == "docker" and request.env_manager != "local":
        raise ExecutionException(NO_CONTAINERS)
    from_git = settings.project_source == "git"
    cargo = _packed(brought, settings)
    places = ClusterPlaces(frozenset(cargo.bundle.paths), cargo.subdirectory, downloads=not from_git)
    call = _call(project, request, places, brought.directory)
    compute = settings.compute
    if project.databricks_spark_job is not None:
        compute = with_python_libraries(compute, project.databricks_spark_job.get("python_libraries") or ())
    return Prepared(
        brought=brought,
        project=_from_git(project, call, brought, request, settings)
        if from_git
        else ArchivedProject(key=cargo.bundle.sha256, subdirectory=cargo.subdirectory),
        archive=b"" if from_git else cargo.bundle.content,
        said="" if from_git else cargo.said(),
        tags=cargo.tags(),
        project_name=project.name,
        parameters=call.parameters,
        given=call.given,
        manager=_MANAGERS.get(request.env_manager or "", request.env_manager),
        compute=compute,
    )


def _packed(brought: Brought, settings: Configuration) -> Cargo:
    """The project as it is sent: with the directories around it that it came with."""
    among_files = not (settings.upload_to or "/Workspace").startswith(("/Volumes/", "dbfs:/"))
    limit = min(BOUNDS.packed, WORKSPACE_FILE_LIMIT) if among_files else BOUNDS.packed
    advice = (
        "What is larger goes to a volume: give upload_to (/Volumes/CATALOG/SCHEMA/VOLUME/…) in the backend's "
        "configuration."
        if among_files
        else "Data belongs where path parameters can name it (s3://…, /Volumes/…)."
    )
    if brought.resolution is not None:
        subdirectory = repository_of(brought.location).subdirectory
        depth = len(PurePosixPath(subdirectory).parts)
        root = Path(*brought.directory.parts[: len(brought.directory.parts) - depth])
        return Cargo(pack_checkout(root, limit=limit, advice=advice), subdirectory)
    if brought.location.kind == "archive":
        return Cargo(pack_checkout(brought.directory, limit=limit, advice=advice))
    bundle = pack(Path(brought.location.uri), limit=limit, advice=advice)
    return Cargo(bundle, brought.location.subdirectory, sent_from(brought.location, bundle.paths))


def _call(project: Project, request: Request, places: ClusterPlaces, directory: Path) -> _Call:
    """What the run will execute, as far as it is known here.

    Raises:
        ProjectError: The project has no such entry point or file, or a parameter does not fit.
        UsageError: The entry point of a Spark job is no Python program.
    """
    for warning in project.warnings:
        _log.warning("%s", warning)
    if (script := project.spark_script) is not None:
        if request.entry_point != "main" or request.parameters:
            _log.warning(
                "You configured Databricks spark job python_file and parameters within the MLProject file's "
                "databricks_spark_job section. '--entry-point' and '--param-list' arguments specified in the 'mlflow "
                "run' command are ignored."
            )
        check_file(DirectoryFiles(directory), script.file)
        return _Call((script.file, script.arguments), None, {}, {})
    invocation = project.resolve(
        request.entry_point,
        request.parameters,
        files=DirectoryFiles(directory),
        places=places,
        validate=request.validate,
    )
    for warning in invocation.warnings:
        _log.warning("%s", warning)
    spark = spark_python_call(invocation.command) if project.databricks_spark_job is not None else None
    if spark is not None:
        check_file(DirectoryFiles(directory), spark[0])
    # Addresses may have credentials in them, which are nobody's parameter.
    recorded = {parameter.name: redact(parameter.raw) for parameter in invocation.parameters}
    return _Call(spark, invocation.command, recorded, dict(request.parameters))


def _from_git(project: Project, call: _Call, brought: Brought, request: Request, settings: Configuration) -> GitProject:
    """The project as the workspace fetches it itself.

    Raises:
        UsageError: It cannot, or would not do the same with it.
        EntryPointNotFound: The file is not in it.
    """
    if brought.resolution is None:
        raise UsageError(
            f"'{request.uri}' is not in a Git repository that a workspace could fetch, as project_source git wants it. "
            "Give the repository's https URL, or leave project_source out: the project is uploaded then."
        )
    if project.environment.kind != "none" and request.env_manager != "local":
        raise UsageError(
            "The project declares an environment, which nobody builds for a project that the workspace fetches from "
            "Git. Give --env-manager local to run it in the cluster's own Python, or leave project_source out."
        )
    repository = repository_of(brought.location)
    found = GitProject(
        uri=repository.uri,
        provider=git_provider(repository.uri, settings.git_provider),
        commit=brought.resolution.commit,
        subdirectory=repository.subdirectory,
        private=_is_private(repository.uri, request.version),
    )
    file, arguments = call.spark or python_call(call.command or "")
    check_file(DirectoryFiles(brought.directory), file)
    return replace(found, python_file=in_repository(found, file), arguments=arguments)


def _is_private(uri: str, version: str | None) -> bool:
    """Whether a repository wants credentials of whoever fetches it."""
    from mlp.source import Access, Git  # noqa: PLC0415 -- only for projects that the workspace fetches

    try:
        Git(Access.scrubbed(protocols=("https", "http"))).resolve(uri, version)
    except AuthenticationFailed:
        return True
    return False
