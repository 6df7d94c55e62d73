"""The edge from a run that has ended on Databricks to what it wrote: brought within a minute, and kept with the run."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from mlp.errors import MlpError, WorkspaceNotFound, WorkspaceRefused
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable
from mlp_operator.runs.actions import RemoteOutput
from mlp_operator.runs.kept_logs import keep_log, tail
from mlp_operator.runs.pauses import pause

if TYPE_CHECKING:
    from mlp.backends.databricks.output import Output
    from mlp.backends.databricks.states import RunState
    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.runs.submissions import Submission
    from mlp_operator.runs.workspace_calls import WorkspaceCalls

__all__ = ["Outputs"]

_LOG_IN_MESSAGES: Final = 4 << 10
PATIENCE = 60.0
"""Seconds for which a run's end waits for what it wrote."""

logger = logging.getLogger(__name__)


class Outputs:
    """Brings what runs have written.

    Args:
        cluster: Where it is kept.
        calls: How workspaces are asked.
    """

    def __init__(self, cluster: Cluster, calls: WorkspaceCalls) -> None:
        self._cluster = cluster
        self._calls = calls

    async def bring(self, submission: Submission, run: ProjectRun, state: RunState) -> RemoteOutput:
        """Bring what a run has left behind, and keep it, as far as that can be done in time."""
        output = RemoteOutput()
        try:
            async with asyncio.timeout(PATIENCE):
                if state.task_run_id is not None and (found := await self._ask(submission, state.task_run_id)):
                    log, error = tail(found.log, _LOG_IN_MESSAGES), found.error or None
                    output = RemoteOutput(log, error)
                    text = "".join(f"{line}\n" for line in found.lines(page_url=state.page_url))
                    output = RemoteOutput(log, error, await self._keep(submission, run, text))
        except TimeoutError:
            logger.warning("%s/%s: what it wrote on Databricks could not be had in time", *submission.key)
        return output

    async def _ask(self, submission: Submission, task_run_id: int) -> Output | None:
        from mlp.backends.databricks.output import output_of  # noqa: PLC0415 -- most operators never need it

        failures = 0
        while True:
            try:
                found = await self._calls.ask(
                    submission.door, lambda workspace: workspace.output(task_run_id), kept=True
                )
                return output_of(found)
            except (WorkspaceNotFound, WorkspaceRefused):
                return None  # there is none: it was never started, or is too old
            except (MlpError, ApiError, ClusterUnreachable) as error:
                logger.info("%s/%s: what it wrote cannot be had yet: %s", *submission.key, error)
            await asyncio.sleep(pause(failures) / 2)
            failures += 1

    async def _keep(self, submission: Submission, run: ProjectRun, text: str) -> str | None:
        failures = 0
        while text:
            try:
                return await keep_log(self._cluster, run, submission.remote.token.rpartition("-")[2], text)
            except (ApiError, ClusterUnreachable) as error:
                logger.info("%s/%s: what it wrote cannot be kept yet: %s", *submission.key, error)
            await asyncio.sleep(pause(failures) / 2)
            failures += 1
        return None
