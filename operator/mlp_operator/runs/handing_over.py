"""From a resolved run to what is handed over to Databricks. Pure; nothing of it is secret."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.compute import compute_of, with_python_libraries
from mlp.backends.databricks.git_projects import git_provider, in_repository, python_call
from mlp.backends.databricks.task import ArchivedProject, Assignment, GitProject, RemoteTask, token_of

if TYPE_CHECKING:
    from mlp.resources import DatabricksBackend, ProjectRun
    from mlp.resources.plan import Plan, PlannedSource
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.runs.recording import TrackedRun

__all__ = ["directory_of", "task_of", "token_for"]

_MANAGERS: Final = {"Local": "local", "Conda": "conda", "Virtualenv": "virtualenv"}


def token_for(run: ProjectRun, number: int) -> str:
    """The idempotency token of a run's submission of that number, from 1."""
    return token_of(run.uid, number)


def directory_of(run: ProjectRun) -> str:
    """Where a run happens on the driver of its cluster. Attempts follow one another, and each begins with nothing."""
    return f"/tmp/mlp-{run.uid}"  # noqa: S108 -- on a cluster, made anew by the run, for its user alone


def task_of(
    run: ProjectRun,
    backend: DatabricksBackend,
    resolved: Resolved,
    *,
    token: str,
    tracked: TrackedRun | None,
    tracking_uri: str | None,
) -> RemoteTask:
    """What is submitted.

    Args:
        run: The run.
        backend: Its spec.backend.databricks.
        resolved: What it was resolved to.
        token: The token of this submission.
        tracked: Its run in MLflow.
        tracking_uri: The tracking server, also where the run there could not be made.
    """
    plan = resolved.plan
    return RemoteTask(
        # By this name people find the ProjectRun, and we the submission.
        name=f"{run.namespace}/{run.name} ({token})",
        token=token,
        compute=with_python_libraries(compute_of(backend), resolved.python_libraries),
        project=_project(run, backend, plan),
        assignment=Assignment(
            directory=directory_of(run),
            subdirectory=plan.source.subdirectory,
            entry_point=run.spec.project.entry_point,
            parameters=dict(resolved.given),
            manager=_MANAGERS.get(run.spec.environment.manager),
            tracking_uri=tracking_uri,
            run_id=None if tracked is None else tracked.run_id,
            known_as=run.uid if tracked is None else None,
            experiment_id=None if tracked is None else tracked.experiment_id or None,
        ),
        upload_to=backend.upload_to,
        timeout_seconds=_timeout(run, backend),
        run_as=_run_as(backend),
        tags={tag.name: tag.value for tag in backend.tags or ()},
    )


def _project(run: ProjectRun, backend: DatabricksBackend, plan: Plan) -> ArchivedProject | GitProject:
    source = plan.source
    if backend.project_source == "Archive":
        return ArchivedProject(key=_key(source), subdirectory=source.subdirectory)
    file, arguments = python_call(plan.project.command)
    project = GitProject(
        uri=source.uri or "",
        provider=git_provider(source.uri or "", backend.git_provider),
        commit=source.commit or "",
        subdirectory=source.subdirectory,
        private=run.spec.project.auth_secret_ref is not None,
        arguments=arguments,
    )
    return replace(project, python_file=in_repository(project, file))


def _key(source: PlannedSource) -> str:
    """What stands for the content of an archive: its digest, or all that decides about it."""
    if source.bundle is not None:
        return source.bundle.sha256
    # The repository's address tells whose commit it is: another's of the same number is not to be taken for it.
    identity = [source.uri, source.commit, source.submodules, source.lfs, source.other_hosts]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _run_as(backend: DatabricksBackend) -> dict[str, str] | None:
    asked = backend.run_as
    if asked is None:
        return None
    if asked.user_name is not None:
        return {"user_name": asked.user_name}
    return {"service_principal_name": asked.service_principal_name or ""}


def _timeout(run: ProjectRun, backend: DatabricksBackend) -> int | None:
    """Databricks ends the run itself if the operator is away when its time is over."""
    limits = (backend.timeout_seconds, run.spec.active_deadline_seconds)
    return min((limit for limit in limits if limit is not None), default=None)
