"""The edge over which runs are handed over to Databricks, or found by their tokens, and what a failure to do so means.

A token that is sent again is the same run, so whatever is not certain is tried once more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mlp.backends.databricks.task import Compute
from mlp.errors import (
    MlpError,
    WorkspaceDenied,
    WorkspaceError,
    WorkspaceNotFound,
    WorkspaceRefused,
    WorkspaceUnavailable,
)
from mlp.resources import Reason
from mlp_operator.runs.outcome import Refused, Unavailable
from mlp_operator.runs.pauses import pause
from mlp_operator.runs.remote_archives import RemoteArchives
from mlp_operator.runs.sharing import Shares
from mlp_operator.runs.workspace_calls import words

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.backends.databricks.task import RemoteTask
    from mlp.backends.databricks.workspace import Workspace
    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.runs.submissions import Submission
    from mlp_operator.runs.workspace_calls import WorkspaceCalls
    from mlp_operator.settings import Settings

__all__ = ["Submitter", "failed_to_submit", "is_final", "may_have_arrived"]

_RUN_IDS: Final = range(1, 1 << 63)


class _ArchiveWanted(Exception):  # noqa: N818 -- a question, not an error
    """The workspace does not have the project yet."""


class Submitter:
    """Hands runs over.

    Args:
        cluster: Where projects and credentials are.
        settings: Limits.
        calls: How workspaces are asked.
    """

    def __init__(self, cluster: Cluster, settings: Settings, calls: WorkspaceCalls) -> None:
        self._calls = calls
        self._archives = RemoteArchives(cluster, settings)
        self._uploads = Shares(1)

    def close(self) -> None:
        """Bring no archives any more."""
        self._archives.close()

    async def hand_over(self, submission: Submission, run: ProjectRun, task: RemoteTask, resolved: Resolved) -> int:
        """Hand a run over, or find the one that has its token; bring its project if the workspace does not have it.

        Returns:
            The run's id.

        Raises:
            MlpError: It is not there, or nobody knows.
            ApiError: What it needs cannot be read.
            ClusterUnreachable: The same.
        """
        from mlp.backends.databricks.submitting import submit  # noqa: PLC0415 -- most operators never need it

        submission.sent = False

        def sending() -> None:
            submission.sent = True

        def wanted() -> bytes:
            raise _ArchiveWanted

        def without(workspace: Workspace) -> int:
            return submit(workspace, task, wanted, before_sending=sending)

        try:
            return _believable(await self._calls.ask(submission.door, without))
        except _ArchiveWanted:
            pass
        # Of many runs of one project, one brings it. The others find it there.
        async with self._uploads.of((submission.door, task.project, task.upload_to)):
            try:
                return _believable(await self._calls.ask(submission.door, without))
            except _ArchiveWanted:
                pass
            async with self._archives.brought(run, resolved.plan.source, submission.door) as archive:

                def with_it(workspace: Workspace) -> int:
                    return submit(workspace, task, lambda: archive, before_sending=sending)

                return _believable(await self._calls.ask(submission.door, with_it))

    async def find(self, submission: Submission, run: ProjectRun) -> int:
        """Find the run of a token; where there is none, one that does nothing has it then.

        Returns:
            The run's id.

        Raises:
            MlpError: It is not there, or nobody knows.
            ApiError: What that needs cannot be read.
            ClusterUnreachable: The same.
        """
        from mlp.backends.databricks.compute import compute_of  # noqa: PLC0415 -- most operators never need it
        from mlp.backends.databricks.submitting import claim  # noqa: PLC0415

        submission.sent = True
        token, backend = submission.remote.token, run.spec.backend.databricks
        name = f"{run.namespace}/{run.name} ({token})"
        compute = compute_of(backend) if backend is not None else Compute(serverless=True)
        found = await self._calls.ask(
            submission.door, lambda workspace: claim(workspace, token, name=name, compute=compute), kept=True
        )
        return _believable(found)


def _believable(run_id: int) -> int:
    """A number that a status has room for, and that means a run when it is asked for."""
    if run_id not in _RUN_IDS:
        raise WorkspaceError("The workspace answers, but not as Databricks does: no run has the id that it gave.")
    return run_id


def is_final(error: Exception) -> bool:
    """Whether trying again cannot help."""
    return isinstance(error, MlpError) and not error.temporary


def may_have_arrived(submission: Submission, error: Exception) -> bool:
    """Whether there may be a run though handing it over, or finding it, has failed."""
    # Credentials that were not taken had no effect.
    return not submission.remote.unsent or (submission.sent and not isinstance(error, WorkspaceDenied))


def failed_to_submit(submission: Submission, error: Exception, what: str, now: datetime) -> Refused | Unavailable:
    """What a failure to hand over, or to find, means.

    Args:
        submission: What could not be handed over.
        error: Why.
        what: What could not be done.
        now: The present moment.
    """
    message = words(error, submission, what)
    refused = isinstance(error, WorkspaceRefused | WorkspaceNotFound)
    # Once a request may have arrived, missing rights do not say that there is no run.
    unclear = not submission.remote.unsent and isinstance(error, WorkspaceError) and not refused
    if is_final(error) and not unclear:
        # A cluster, or a policy, that is not there is a mistake in what was asked.
        reason = Reason.WORKSPACE_REFUSED if refused or not isinstance(error, MlpError) else error.reason
        return Refused(str(reason), message)
    least = error.after if isinstance(error, WorkspaceUnavailable) else 0.0
    wait = pause(submission.failures, least=least)
    reason = error.reason if isinstance(error, MlpError) else Reason.WORKSPACE_UNAVAILABLE
    return Unavailable(str(reason), message, now + timedelta(seconds=wait))
