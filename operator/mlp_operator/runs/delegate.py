"""The edge to Databricks: runs are handed over, followed and cancelled beside the loop, and never inside of it.

Nothing here is kept for good. What is known of a submission is derived anew from its idempotency token and its run's
id, which stand in the status: a token that is sent again is the same run.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlp.errors import MlpError, WorkspaceNotFound, WorkspaceRefused, WorkspaceUnavailable
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable
from mlp_operator.runs.actions import Remote, RemoteOutput
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.pauses import pause
from mlp_operator.runs.remote_outputs import Outputs
from mlp_operator.runs.remote_submitting import Submitter, failed_to_submit, is_final, may_have_arrived
from mlp_operator.runs.submissions import Submission
from mlp_operator.runs.workspace_access import Entrance
from mlp_operator.runs.workspace_calls import WorkspaceCalls, words
from mlp_operator.runs.workspaces import Workspaces

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mlp.backends.databricks.polling import Sighting
    from mlp.backends.databricks.states import RunState
    from mlp.backends.databricks.task import RemoteTask
    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cache import Key
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.settings import Settings

__all__ = ["Delegate"]

_SUBMISSION, _CANCELLATION, _OUTPUT = "submission", "cancellation", "output"
"""What may go on about a submission."""

logger = logging.getLogger(__name__)


class Delegate:
    """Deals with runs on Databricks. Belongs to one event loop.

    Args:
        cluster: Where Secrets and ConfigMaps are.
        queue: Gets a run's key when something has changed.
        settings: Limits.
        metrics: Learns what workspaces are asked, and how runs stand.
    """

    def __init__(self, cluster: Cluster, queue: WorkQueue, settings: Settings, metrics: Metrics) -> None:
        self._queue = queue
        self._metrics = metrics
        self._workspaces = Workspaces(cluster, settings, metrics)
        self._calls = WorkspaceCalls(settings.delegates)
        self._submitter = Submitter(cluster, settings, self._calls)
        self._outputs = Outputs(cluster, self._calls)
        self._known: dict[str, Submission] = {}
        """The newest submission of each run, by the run's uid."""
        self._left: set[Submission] = set()
        """Those that were being handed over when they were forgotten, or replaced."""
        self._announced: set[str] = set()
        self._counts: Counter[str] = Counter()

    def remote(self, key: Key, uid: str, token: str) -> Remote | None:
        """What is known of a submission; None if this process has not dealt with it."""
        known = self._known.get(uid)
        return known.remote if known is not None and known.key == key and known.remote.token == token else None

    def take_up(self, key: Key, run: ProjectRun, *, token: str, run_id: str | None) -> None:
        """Know of a submission, whoever has written its token, and follow it if its run's id is known."""
        submission = self._submission(key, run, token)
        if submission.remote.run_id is None and run_id is not None:
            self._change(submission, run_id=run_id, unsent=False)
            self._follow(submission)

    def announce(self, token: str) -> None:
        """Know that a token was written by this very process, and that nobody can have sent it yet."""
        self._announced.add(token)

    def submit(self, key: Key, run: ProjectRun, task: RemoteTask, resolved: Resolved, now: datetime) -> None:
        """Hand a run over, unless that goes on or is done. The same token again is the same run."""
        submission = self._submission(key, run, task.token)
        if submission.remote.run_id is None and not isinstance(submission.remote.submission, Working):
            self._change(submission, submission=Working(now))
            self._start(submission, _SUBMISSION, self._submit(submission, run, task, resolved))

    def find(self, key: Key, run: ProjectRun, token: str, now: datetime) -> None:
        """Find the run of a token. `Remote.submission` is Refused if there is none, and never will be."""
        submission = self._submission(key, run, token)
        if submission.remote.run_id is None and not isinstance(submission.remote.submission, Working):
            self._change(submission, submission=Working(now))
            self._start(submission, _SUBMISSION, self._find(submission, run))

    def cancel(self, key: Key, run: ProjectRun, run_id: str, now: datetime) -> None:  # noqa: ARG002 -- as its siblings
        """Ask that a run ends, again and again until that was heard."""
        token = run.status.databricks.token if run.status.databricks is not None else None
        submission = self._known.get(run.uid) if token is None else self._submission(key, run, token)
        if submission is None or submission.over or _CANCELLATION in submission.tasks:
            return
        if submission.remote.run_id is None:
            self._change(submission, run_id=run_id, unsent=False)
            self._follow(submission)
        self._change(submission, asking=True)
        self._start(submission, _CANCELLATION, self._cancel(submission, int(run_id)))

    def fetch(self, key: Key, run: ProjectRun, token: str, state: RunState, now: datetime) -> None:  # noqa: ARG002
        """Bring what a run has left behind, and keep it. That is given up after a minute."""
        submission = self._submission(key, run, token)
        if submission.remote.output is None and _OUTPUT not in submission.tasks:
            self._change(submission, asking=True)
            self._start(submission, _OUTPUT, self._fetch(submission, run, state))

    def forget(self, key: Key) -> None:
        """Nobody will ask for this run any more."""
        for submission in [each for each in self._known.values() if each.key == key]:
            self._drop(submission)

    async def close(self) -> None:
        """End everything that goes on, also what waits for a server that hangs."""
        going_on = [*self._known.values(), *self._left]
        tasks = [task for submission in going_on for task in submission.tasks.values()]
        for task in tasks:
            task.cancel()
        tasks += self._calls.cancel()
        # First, so that no thread is left that waits for an answer.
        await self._workspaces.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._submitter.close()
        self._calls.close()

    # --- submissions --------------------------------------------------------------------------------------------------

    def _submission(self, key: Key, run: ProjectRun, token: str) -> Submission:
        """What is known of a submission. One of the same run with another token is over."""
        known = self._known.get(run.uid)
        if known is not None and known.remote.token == token:
            return known
        if known is not None:
            self._drop(known)
        for left in self._left:
            if left.uid == run.uid and left.remote.token == token:
                self._left.discard(left)
                left.forgotten = False
                return self._keep(left)
        backend = run.spec.backend.databricks
        if backend is None:
            raise ValueError(f"{run.name} has no spec.backend.databricks")
        door = self._workspaces.enter(Entrance.of(run.namespace, backend))
        # Whoever wrote a token before us may have sent it, too.
        unsent = token in self._announced
        self._announced.discard(token)
        return self._keep(Submission(key, run.uid, Remote(token, unsent=unsent), door))

    def _keep(self, submission: Submission) -> Submission:
        self._known[submission.uid] = submission
        self._count(submission, +1)
        return submission

    def _drop(self, submission: Submission) -> None:
        del self._known[submission.uid]
        self._count(submission, -1)
        submission.forgotten = True
        self._unfollow(submission)
        for name, task in list(submission.tasks.items()):
            if name != _SUBMISSION:
                task.cancel()
        if _SUBMISSION in submission.tasks:
            self._left.add(submission)  # it may turn into a run that nobody knows of
        else:
            self._workspaces.leave(submission.door)

    def _change(self, submission: Submission, /, **values: Any) -> None:  # noqa: ANN401 -- those of Remote
        """Say something else of a submission, and have its run looked at."""
        before = submission.remote
        changed = replace(before, **values)
        if changed == before:
            return
        if not submission.forgotten:
            self._count(submission, -1)
        submission.remote = changed
        if not submission.forgotten:
            self._count(submission, +1)
            self._queue.add(submission.key)

    def _count(self, submission: Submission, by: int) -> None:
        state = submission.standing
        self._counts[state] += by
        self._metrics.databricks_runs.labels(state=state).set(self._counts[state])

    def _start(self, submission: Submission, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = submission.tasks[name] = asyncio.create_task(work)

        def ended(done: asyncio.Task[None]) -> None:
            if submission.tasks.get(name) is done:
                del submission.tasks[name]
            if not done.cancelled() and (error := done.exception()) is not None:
                logger.error("%s/%s: %s failed unexpectedly", *submission.key, name, exc_info=error)
                if name == _SUBMISSION and isinstance(submission.remote.submission, Working):
                    self._not_submitted(submission, RuntimeError(name), "handed over")
            if not submission.forgotten and name != _SUBMISSION:
                self._change(submission, asking=not {_CANCELLATION, _OUTPUT}.isdisjoint(submission.tasks))
            elif submission in self._left and not submission.tasks:
                self._left.discard(submission)
                self._workspaces.leave(submission.door)

        task.add_done_callback(ended)

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, submission: Submission) -> None:
        remote = submission.remote
        if submission.forgotten or submission.followed is not None or remote.run_id is None or submission.over:
            return
        submission.followed = int(remote.run_id)
        submission.door.follow(submission.followed, lambda sighting: self._heard(submission, sighting))

    def _unfollow(self, submission: Submission) -> None:
        if submission.followed is not None:
            submission.door.leave(submission.followed)
            submission.followed = None

    def _heard(self, submission: Submission, sighting: Sighting) -> None:
        before = submission.remote
        since = (before.unreadable_since or sighting.at) if sighting.trouble is not None else None
        submission.heard_trouble = "" if sighting.trouble is None else str(sighting.trouble)
        self._change(
            submission,
            state=sighting.state or before.state,
            gone=before.gone or sighting.gone,
            unreadable_since=since,
            trouble=submission.cancel_trouble or submission.heard_trouble,
        )
        if submission.over:
            self._unfollow(submission)
            if (cancellation := submission.tasks.get(_CANCELLATION)) is not None:
                cancellation.cancel()  # it may be in a long pause, and nothing waits for it any more

    # --- handing over -------------------------------------------------------------------------------------------------

    async def _submit(self, submission: Submission, run: ProjectRun, task: RemoteTask, resolved: Resolved) -> None:
        try:
            run_id = await self._submitter.hand_over(submission, run, task, resolved)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the run hears of it
            answered = submission.sent and isinstance(error, WorkspaceRefused | WorkspaceNotFound)
            if is_final(error) and not answered and not submission.remote.unsent:
                # What it takes to send it is lost, and that says nothing about what was sent before.
                logger.info("%s/%s: it is looked for on Databricks: %s", *submission.key, error)
                await self._find(submission, run)
            else:
                self._not_submitted(submission, error, "handed over")
            return
        self._submitted(submission, run_id)
        if submission.forgotten:
            await self._take_back(submission, run_id)

    async def _take_back(self, submission: Submission, run_id: int) -> None:
        """Nobody asks for the run any more that has just been submitted: it must not go on."""
        try:
            await self._calls.ask(submission.door, lambda workspace: workspace.cancel(run_id), kept=True)
        except (MlpError, ApiError, ClusterUnreachable) as error:
            logger.warning("%s/%s: its run %s on Databricks was not cancelled: %s", *submission.key, run_id, error)

    async def _find(self, submission: Submission, run: ProjectRun) -> None:
        try:
            found = await self._submitter.find(submission, run)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the run hears of it
            self._change(submission, unsent=False)
            self._not_submitted(submission, error, "looked for")
        else:
            self._submitted(submission, found)

    def _submitted(self, submission: Submission, run_id: int) -> None:
        submission.failures = 0
        self._change(submission, run_id=str(run_id), submission=None, unsent=False)
        self._follow(submission)

    def _not_submitted(self, submission: Submission, error: Exception, what: str) -> None:
        found = failed_to_submit(submission, error, what, datetime.now(UTC))
        submission.failures += 1
        self._change(submission, submission=found, unsent=not may_have_arrived(submission, error))

    # --- cancelling ---------------------------------------------------------------------------------------------------

    async def _cancel(self, submission: Submission, run_id: int) -> None:
        failures = 0
        while not submission.over:
            try:
                await self._calls.ask(submission.door, lambda workspace: workspace.cancel(run_id), kept=True)
                break
            except WorkspaceNotFound:
                break  # whoever follows it hears the same
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is asked again
                submission.cancel_trouble = words(error, submission, "cancelled")
                self._change(submission, trouble=submission.cancel_trouble)
                least = error.after if isinstance(error, WorkspaceUnavailable) else 0.0
                await asyncio.sleep(pause(failures, least=least))
                failures += 1
        else:
            return
        submission.cancel_trouble = ""
        self._change(submission, cancelled_at=datetime.now(UTC), trouble=submission.heard_trouble)

    # --- what it left behind ------------------------------------------------------------------------------------------

    async def _fetch(self, submission: Submission, run: ProjectRun, state: RunState) -> None:
        output = RemoteOutput()
        try:
            output = await self._outputs.bring(submission, run, state)
        finally:
            self._change(submission, output=output)
