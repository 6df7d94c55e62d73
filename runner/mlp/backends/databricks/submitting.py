"""Submitting a task: what it needs is brought to the workspace, then the Jobs API is told, once or several times.

The idempotency token makes a second call for the same task the first one again. So whoever was interrupted in it calls
it anew, and there is still one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.backends.databricks.body import submission
from mlp.backends.databricks.delivery import plan_delivery
from mlp.backends.databricks.task import GitProject
from mlp.errors import WorkspaceDenied

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.backends.databricks.task import RemoteTask
    from mlp.backends.databricks.workspace import Workspace

__all__ = ["submit"]


def submit(
    workspace: Workspace,
    task: RemoteTask,
    archive: Callable[[], bytes],
    *,
    before_sending: Callable[[], None] = lambda: None,
) -> int:
    """Submit a task, unless that was done before.

    Args:
        workspace: Where.
        task: What.
        archive: Packs the project (`mlp.source.bundle`). Called only for an ArchivedProject that is not there yet.
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
        delivery.send(workspace)
    before_sending()
    return workspace.submit(body)


def _check_git_credential(workspace: Workspace, project: GitProject) -> None:
    """See that the workspace can fetch a private repository. Another identity's credentials are not ours to see."""
    has = {str(each.get("git_provider", "")).lower() for each in workspace.git_credentials()}
    if project.provider.lower() not in has:
        raise WorkspaceDenied(
            f"{project.uri} is private, and {workspace.user_name()} has no Git credential for {project.provider} in "
            f"{workspace.host}, with which the workspace would fetch it. Add one there (Settings, Linked accounts), or "
            "have the project uploaded instead (project source Archive)."
        )
