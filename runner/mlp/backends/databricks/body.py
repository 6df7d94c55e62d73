"""The body of runs/submit of the Jobs API 2.2: a task in, plain JSON out. Nothing is sent here, and nothing is asked.

A project that was packed runs by way of the bootstrap, which is told everything by its arguments: an existing cluster
has no other place for what belongs to one run. A project that the workspace fetches itself is run as it stands.
"""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.databricks.compute import dependencies
from mlp.backends.databricks.task import GitProject
from mlp.errors import UsageError

if TYPE_CHECKING:
    from mlp.backends.databricks.task import Assignment, Compute, RemoteTask

__all__ = [
    "BOOTSTRAP_VERSION",
    "DEFAULT_ENVIRONMENT",
    "LONGEST_ASSIGNMENT",
    "TASK_KEY",
    "Uploaded",
    "assignment_json",
    "fits_arguments",
    "submission",
]

TASK_KEY: Final = "main"
BOOTSTRAP_VERSION: Final = 1
"""Of the bootstrap's arguments, which it checks: a file of the same name by another version would misread them."""
LONGEST_ASSIGNMENT: Final = 8_000
"""Bytes of an assignment among the arguments, all of which may have 10,000 as JSON. A longer one travels in a file."""
DEFAULT_ENVIRONMENT: Final = "4"
"""The newest version of the serverless environment that is known to run mlp; 2 is the first with Python 3.11."""
_FIRST_ENVIRONMENT: Final = 2
_FIRST_RUNTIME: Final = 15
_RUNTIME: Final = re.compile(r"(\d+)\.(?:\d+|x)(?:\.x)?(?=$|-)")
"""A version of Databricks Runtime that tells its number, such as 15.4.x-scala2.12."""

_ENVIRONMENT_KEY: Final = "default"
_REFERENCE: Final = "{{"
"""The beginning of what the Jobs API replaces in arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """Where the files of a task lie.

    Attributes:
        bootstrap: The program, as the Jobs API names it.
        runtime: The wheel, as a path on the driver.
        project: The project's archive, as a path on the driver.
        assignment: The assignment's file, as a path on the driver; None for one that fits among the arguments.
    """

    bootstrap: str
    runtime: str
    project: str
    assignment: str | None = None


def assignment_json(assignment: Assignment) -> str:
    """An assignment as it travels: JSON in ASCII, in which nothing looks like a reference of the Jobs API."""
    text = json.dumps(asdict(assignment), ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    # Two opening braces occur within texts only, where one of them can be written otherwise.
    return text.replace(_REFERENCE, r"{\u007b")


def fits_arguments(told: str) -> bool:
    """Whether an assignment may be among the arguments, where each of its quotes and escapes takes more room."""
    return len(json.dumps(told)) <= LONGEST_ASSIGNMENT


def submission(task: RemoteTask, *, places: Uploaded | None) -> dict[str, Any]:
    """The body of runs/submit.

    Args:
        task: What is submitted.
        places: Where what it needs was uploaded to; None for a project that the workspace fetches itself.

    Raises:
        UsageError: The task's parts do not go together.
    """
    git = task.project if isinstance(task.project, GitProject) else None
    program = _arriving(task, places) if git is None else _of_repository(task, git)
    body: dict[str, Any] = {
        "run_name": task.name,
        "idempotency_token": task.token,
        # Where the workspace has no room for a run, it waits: without a queue it would be skipped.
        "queue": {"enabled": True},
        "tasks": [{"task_key": TASK_KEY, "spark_python_task": program, **_compute(task)}],
    }
    if task.compute.serverless:
        body["environments"] = [_environment(task.compute)]
    if git is not None:
        body["git_source"] = {"git_url": git.uri, "git_provider": git.provider, "git_commit": git.commit}
    if task.timeout_seconds is not None:
        body["timeout_seconds"] = task.timeout_seconds
    if task.run_as is not None:
        body["run_as"] = dict(task.run_as)
    return body


def _arriving(task: RemoteTask, places: Uploaded | None) -> dict[str, Any]:
    if places is None:
        raise UsageError("A packed project has to be uploaded before its run is submitted.")
    _check_environment_version(task.compute)
    _check_spark_version(task.compute)
    told = (
        ["--assignment", assignment_json(task.assignment)]
        if places.assignment is None
        else ["--assignment-file", places.assignment]
    )
    arguments = [
        "--bootstrap-version",
        str(BOOTSTRAP_VERSION),
        "--runtime",
        places.runtime,
        "--project",
        places.project,
    ]
    if held := next((each for each in arguments if _REFERENCE in each), None):
        raise UsageError(
            f"Databricks would replace what stands in double braces in {held}. Upload to a directory without them."
        )
    return {"python_file": places.bootstrap, "parameters": [*arguments, *told]}


def _compute(task: RemoteTask) -> dict[str, Any]:
    compute = task.compute
    # What arrives is told by its assignment, on any kind of compute.
    variables = _variables(task.assignment) if isinstance(task.project, GitProject) else {}
    if task.tags and compute.new_cluster is None:
        raise UsageError("Tags are those of a new cluster: give a new cluster, or leave them out.")
    if compute.serverless:
        return {"environment_key": _ENVIRONMENT_KEY}
    chosen: dict[str, Any] = {"existing_cluster_id": compute.existing_cluster_id}
    if compute.new_cluster is not None:
        cluster = dict(compute.new_cluster)
        for key, own in (("custom_tags", dict(task.tags)), ("spark_env_vars", variables)):
            if own:
                # What the user wrote into the cluster is more explicit than anything beside it.
                cluster[key] = {**own, **(cluster.get(key) or {})}
        chosen = {"new_cluster": cluster}
    if compute.libraries:
        chosen["libraries"] = [dict(library) for library in compute.libraries]
    return chosen


def _environment(compute: Compute) -> dict[str, Any]:
    spec: dict[str, Any] = {"environment_version": compute.environment_version or DEFAULT_ENVIRONMENT}
    if compute.libraries:
        spec["dependencies"] = list(dependencies(compute.libraries))
    return {"environment_key": _ENVIRONMENT_KEY, "spec": spec}


def _check_environment_version(compute: Compute) -> None:
    version = compute.environment_version
    if version is not None and version.isdecimal() and int(version) < _FIRST_ENVIRONMENT:
        raise UsageError(
            f"Version {version} of the serverless environment has a Python before 3.11, with which mlp does not run. "
            f"Set environment_version to {_FIRST_ENVIRONMENT} or later, or leave it out."
        )


def _check_spark_version(compute: Compute) -> None:
    """Refuse a cluster that could only say, some ten minutes from now, that its Python is too old."""
    cluster = compute.new_cluster or {}
    found = _RUNTIME.match(str(cluster.get("spark_version") or ""))
    # An image of the user's own has the Python that they put there.
    if found is not None and int(found[1]) < _FIRST_RUNTIME and not cluster.get("docker_image"):
        raise UsageError(
            f"Databricks Runtime {found[0].rstrip('.x')} has a Python before 3.11, with which mlp does not run. Set "
            "spark_version to that of 15.4 LTS or later, such as 16.4.x-scala2.12."
        )


def _variables(assignment: Assignment) -> dict[str, str]:
    """What the command finds in its environment, where nobody but the cluster can put it there."""
    of_mlflow = {
        "MLFLOW_TRACKING_URI": assignment.tracking_uri,
        "MLFLOW_RUN_ID": assignment.run_id,
        "MLFLOW_EXPERIMENT_ID": assignment.experiment_id,
    }
    return {**assignment.variables, **{name: value for name, value in of_mlflow.items() if value}}


def _of_repository(task: RemoteTask, project: GitProject) -> dict[str, Any]:
    _check_repository(task, project)
    return {"python_file": project.python_file, "parameters": list(project.arguments), "source": "GIT"}


def _check_repository(task: RemoteTask, project: GitProject) -> None:
    path = posixpath.normpath(project.python_file)
    if not path.endswith(".py") or path.startswith(("/", "../")):
        raise UsageError(
            f"From Git, Databricks runs a Python file of the repository by its relative path, and not "
            f"{project.python_file or 'a command'}. Have the project uploaded instead (project source Archive)."
        )
    if task.assignment.manager not in {None, "local"}:
        raise UsageError(
            f"From Git, Databricks runs the project in the cluster's own Python, and builds no environment "
            f"({task.assignment.manager}). Choose the environment manager local, or the project source Archive."
        )
    if any(_REFERENCE in argument for argument in project.arguments):
        raise UsageError(
            "Databricks would replace what stands in double braces in a parameter. "
            "Have the project uploaded instead (project source Archive), which keeps values as they are."
        )
    if _variables(task.assignment) and task.compute.new_cluster is None:
        raise UsageError(
            "A project that the workspace fetches from Git finds its MLflow run by variables, which only a new cluster "
            "can be given. Use a new cluster, the project source Archive, or no tracking."
        )
