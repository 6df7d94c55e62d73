"""Submitting a task: what it needs is brought to the workspace, then the Jobs API is told, once or several times.

The idempotency token makes a second call for the same task the first one again. So whoever was interrupted in it calls
it anew, and there is still one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.backends.databricks.body import Uploaded, submission
from mlp.backends.databricks.delivery import plan_delivery
from mlp.backends.databricks.task import NOTHING, ArchivedProject, Assignment, GitProject, RemoteTask
from mlp.errors import WorkspaceDenied

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.backends.databricks.task import Compute
    from mlp.backends.databricks.workspace import Workspace

__all__ = ["claim", "submit"]


def submit(
    workspace: Workspace,
    task: RemoteTask,
    archive: Callable[[], bytes],
    *,
    before_project: Callable[[], None] = lambda: None,
    before_sending: Callable[[], None] = lambda: None,
) -> int:
    """Submit a task, unless that was done before.

    Args:
        workspace: Where.
        task: What.
        archive: Packs the project (`mlp.source.bundle`). Called only for an ArchivedProject that is not there yet.
        before_project: Called when the project is not there, and is sent next.
        before_sending: Called when all is there, and the Jobs API is about to be told: from then on there may be a run.

    Returns:
        The id of its run.

    Raises:
        UsageError: The task's parts do not go together, or the project is too large.
        WorkspaceError: The workspace did not do it. After WorkspaceUnavailable nobody knows whether there is a run:
            the same call finds out.
    """
    if isinstance(task.project, GitProject):
        body = submission(task, places=None)
        if task.project.private and task.run_as is None:
            _check_git_credential(workspace, task.project)
    else:
        delivery = plan_delivery(workspace, task, task.project, archive)
        # Formed first: what is wrong with the task is told before anything is sent.
        body = submission(task, places=delivery.places)
        delivery.send(workspace, before_project=before_project)
    before_sending()
    return workspace.submit(body)


def claim(workspace: Workspace, token: str, *, name: str, compute: Compute) -> int:
    """Find the run of a token whose submission may have arrived, or may still be on its way.

    The Jobs API cannot be asked for a token. So it is sent a task of that token that does nothing: if there is a run,
    it answers with that one; if there is none, this is it, and whatever arrives later meets it. The caller cancels it.

    Args:
        workspace: Where.
        token: The idempotency token.
        name: The name of the run that there may be afterwards.
        compute: What the run was to get: what the workspace takes for one, it takes for the other.

    Returns:
        The run's id.

    Raises:
        UsageError: No task can have such compute, so none was sent.
        WorkspaceRefused: No task of that kind was, or will be, taken.
        WorkspaceError: The workspace did not answer.
    """
    nothing = RemoteTask(
        name=name,
        token=token,
        compute=compute,
        project=ArchivedProject(key=""),
        assignment=Assignment(directory="/"),
    )
    return workspace.submit(submission(nothing, places=Uploaded(bootstrap=NOTHING, runtime="", project="")))


def _check_git_credential(workspace: Workspace, project: GitProject) -> None:
    """See that the workspace can fetch a private repository. Another identity's credentials are not ours to see."""
    has = {str(each.get("git_provider", "")).lower() for each in workspace.git_credentials()}
    if project.provider.lower() not in has:
        raise WorkspaceDenied(
            f"{project.uri} is private, and {workspace.user_name()} has no Git credential for {project.provider} in "
            f"{workspace.host}, with which the workspace would fetch it. Add one there (Settings, Linked accounts), or "
            "have the project uploaded instead (project source Archive)."
        )
