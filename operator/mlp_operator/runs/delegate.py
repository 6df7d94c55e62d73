"""The edge to Databricks: runs are handed over, followed and cancelled beside the loop, and never inside of it.

Nothing here is kept for good. What is known of a submission is derived anew from its idempotency token and its run's
id, which stand in the status: a token that is sent again is the same run.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mlp.backends.databricks.states import Life
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
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable
from mlp_operator.runs.actions import Remote, RemoteOutput
from mlp_operator.runs.kept_logs import keep_log, tail
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.remote_archives import RemoteArchives
from mlp_operator.runs.sharing import Shares
from mlp_operator.runs.workspace_access import Entrance
from mlp_operator.runs.workspaces import Workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mlp.backends.databricks.output import Output
    from mlp.backends.databricks.polling import Sighting
    from mlp.backends.databricks.states import RunState
    from mlp.backends.databricks.task import RemoteTask
    from mlp.backends.databricks.workspace import Workspace
    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cache import Key
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.runs.workspaces import Door
    from mlp_operator.settings import Settings

__all__ = ["Delegate"]

T = TypeVar("T")

_FIRST_RETRY: Final = 2.0
_LAST_RETRY: Final = 120.0
_LOG_IN_MESSAGES: Final = 4 << 10
_OUTPUT_PATIENCE: Final = 60.0
"""Seconds for which a run's end waits for what it wrote."""
logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Record:
    """What is known of one submission, and what goes on about it.

    Attributes:
        key: The run's key.
        uid: The run's uid.
        remote: What is known.
        door: The workspace.
        failures: How often in a row it could not be handed over, or found.
        uncertain: Whether it may have been handed over without that being known.
        followed: The id under which it is followed.
        heard_trouble: Why its state could not be read.
        cancel_trouble: Why it could not be cancelled.
        tasks: What goes on, by its name.
        forgotten: Whether nobody will ask any more.
    """

    key: Key
    uid: str
    remote: Remote
    door: Door
    failures: int = 0
    uncertain: bool = False
    followed: int | None = None
    heard_trouble: str = ""
    cancel_trouble: str = ""
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    forgotten: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended, as far as anybody will ever know."""
        return self.remote.gone or (self.remote.state is not None and self.remote.state.life is Life.ENDED)


class _ArchiveWanted(Exception):  # noqa: N818 -- a question, not an error
    """The workspace does not have the project yet."""


class Delegate:
    """Deals with runs on Databricks. Belongs to one event loop.

    Args:
        cluster: Where Secrets and ConfigMaps are.
        queue: Gets a run's key when something has changed.
        settings: Limits.
        metrics: Learns what workspaces are asked, and how runs stand.
    """

    def __init__(self, cluster: Cluster, queue: WorkQueue, settings: Settings, metrics: Metrics) -> None:
        self._cluster = cluster
        self._queue = queue
        self._metrics = metrics
        self._workspaces = Workspaces(cluster, settings, metrics)
        self._archives = RemoteArchives(cluster, settings)
        self._threads = ThreadPoolExecutor(settings.delegates, thread_name_prefix="databricks")
        self._shares = Shares(max(1, settings.delegates // 2))
        self._uploads = Shares(1)
        self._records: dict[str, _Record] = {}
        self._left: set[_Record] = set()
        """Records whose submission was under way when they were forgotten, or replaced."""
        self._asking: set[asyncio.Task[Any]] = set()
        self._announced: set[str] = set()
        self._counts: Counter[str] = Counter()

    def remote(self, key: Key, uid: str, token: str) -> Remote | None:
        """What is known of a submission; None if this process has not dealt with it."""
        record = self._records.get(uid)
        return record.remote if record is not None and record.key == key and record.remote.token == token else None

    def take_up(self, key: Key, run: ProjectRun, *, token: str, run_id: str | None) -> None:
        """Know of a submission of an earlier process, and follow it if its run's id is known."""
        record = self._record(key, run, token)
        if record.remote.run_id is None:
            # Whoever wrote this token before us may have sent it, too.
            record.uncertain = record.uncertain or token not in self._announced
            if run_id is not None:
                self._change(record, run_id=run_id)
                self._follow(record)

    def announce(self, token: str) -> None:
        """Know that a token was written by this very process, and that nobody can have sent it yet."""
        self._announced.add(token)

    def submit(self, key: Key, run: ProjectRun, task: RemoteTask, resolved: Resolved, now: datetime) -> None:
        """Hand a run over, unless that goes on or is done. The same token again is the same run."""
        record = self._record(key, run, task.token)
        if record.remote.run_id is None and not isinstance(record.remote.submission, Working):
            self._change(record, submission=Working(now))
            self._start(record, "submission", self._submit(record, run, task, resolved))

    def find(self, key: Key, run: ProjectRun, token: str, now: datetime) -> None:
        """Find the run of a token. `Remote.submission` is Refused if there is none, and never will be."""
        record = self._record(key, run, token)
        if record.remote.run_id is None and not isinstance(record.remote.submission, Working):
            self._change(record, submission=Working(now))
            self._start(record, "submission", self._find(record, run))

    def cancel(self, key: Key, run: ProjectRun, run_id: str, now: datetime) -> None:  # noqa: ARG002 -- as its siblings
        """Ask that a run ends, again and again until that was heard."""
        token = run.status.databricks.token if run.status.databricks is not None else None
        record = self._records.get(run.uid) if token is None else self._record(key, run, token)
        if record is None or record.over or "cancellation" in record.tasks:
            return
        if record.remote.run_id is None:
            self._change(record, run_id=run_id)
            self._follow(record)
        self._change(record, asking=True)
        self._start(record, "cancellation", self._cancel(record, int(run_id)))

    def fetch(self, key: Key, run: ProjectRun, token: str, state: RunState, now: datetime) -> None:  # noqa: ARG002
        """Bring what a run has left behind, and keep it. That is given up after a minute."""
        record = self._record(key, run, token)
        if record.remote.output is None and "output" not in record.tasks:
            self._change(record, asking=True)
            self._start(record, "output", self._fetch(record, run, state))

    def forget(self, key: Key) -> None:
        """Nobody will ask for this run any more."""
        for record in [record for record in self._records.values() if record.key == key]:
            self._drop(record)

    async def close(self) -> None:
        """End everything that goes on, also what waits for a server that hangs."""
        records = [*self._records.values(), *self._left]
        tasks = [*(task for record in records for task in record.tasks.values()), *self._asking]
        for task in tasks:
            task.cancel()
        # First, so that no thread is left that waits for an answer.
        await self._workspaces.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._archives.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- records ------------------------------------------------------------------------------------------------------

    def _record(self, key: Key, run: ProjectRun, token: str) -> _Record:
        """What is known of a submission. One of the same run with another token is over."""
        record = self._records.get(run.uid)
        if record is not None and record.remote.token == token:
            return record
        if record is not None:
            self._drop(record)
        for left in self._left:
            if left.uid == run.uid and left.remote.token == token:
                self._left.discard(left)
                left.forgotten = False
                return self._keep(left)
        backend = run.spec.backend.databricks
        if backend is None:
            raise ValueError(f"{run.name} has no spec.backend.databricks")
        door = self._workspaces.enter(Entrance.of(run.namespace, backend))
        return self._keep(_Record(key, run.uid, Remote(token), door))

    def _keep(self, record: _Record) -> _Record:
        self._records[record.uid] = record
        self._count(record, +1)
        return record

    def _drop(self, record: _Record) -> None:
        del self._records[record.uid]
        self._announced.discard(record.remote.token)
        self._count(record, -1)
        record.forgotten = True
        self._unfollow(record)
        for name, task in list(record.tasks.items()):
            if name != "submission":
                task.cancel()
        if "submission" in record.tasks:
            self._left.add(record)  # it may turn into a run that nobody knows of
        else:
            self._workspaces.leave(record.door)

    def _change(self, record: _Record, **values: Any) -> None:  # noqa: ANN401 -- those of Remote
        """Say something else of a submission, and have its run looked at."""
        before = record.remote
        changed = replace(before, **values)
        if changed == before:
            return
        if not record.forgotten:
            self._count(record, -1)
        record.remote = changed
        if not record.forgotten:
            self._count(record, +1)
            self._queue.add(record.key)

    def _count(self, record: _Record, by: int) -> None:
        remote = record.remote
        if remote.gone:
            state = "Gone"
        elif remote.unreadable_since is not None:
            state = "Unreadable"
        elif remote.state is None:
            state = "Unsubmitted" if remote.run_id is None else "Submitted"
        else:
            state = str(remote.state.life or "Unknown")
        self._counts[state] += by
        self._metrics.databricks_runs.labels(state=state).set(self._counts[state])

    def _start(self, record: _Record, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = record.tasks[name] = asyncio.create_task(work)

        def ended(done: asyncio.Task[None]) -> None:
            if record.tasks.get(name) is done:
                del record.tasks[name]
            if not done.cancelled() and (error := done.exception()) is not None:
                logger.error("%s/%s: %s failed unexpectedly", *record.key, name, exc_info=error)
            if not record.forgotten and name != "submission":
                self._change(record, asking=not {"cancellation", "output"}.isdisjoint(record.tasks))
            elif record in self._left and not record.tasks:
                self._left.discard(record)
                self._workspaces.leave(record.door)

        task.add_done_callback(ended)

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, record: _Record) -> None:
        if record.forgotten or record.followed is not None or record.remote.run_id is None or record.over:
            return
        record.followed = int(record.remote.run_id)
        record.door.follow(record.followed, lambda sighting: self._heard(record, sighting))

    def _unfollow(self, record: _Record) -> None:
        if record.followed is not None:
            record.door.leave(record.followed)
            record.followed = None

    def _heard(self, record: _Record, sighting: Sighting) -> None:
        since = (record.remote.unreadable_since or sighting.at) if sighting.trouble is not None else None
        record.heard_trouble = "" if sighting.trouble is None else str(sighting.trouble)
        self._change(
            record,
            state=sighting.state or record.remote.state,
            gone=record.remote.gone or sighting.gone,
            unreadable_since=since,
            trouble=record.cancel_trouble or record.heard_trouble,
        )
        if record.over:
            self._unfollow(record)

    # --- handing over -------------------------------------------------------------------------------------------------

    async def _submit(self, record: _Record, run: ProjectRun, task: RemoteTask, resolved: Resolved) -> None:
        try:
            run_id = await self._hand_over(record, run, task, resolved)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the run hears of it
            self._not_submitted(record, error, "handed over")
            return
        self._submitted(record, run_id)
        if record.forgotten:
            await self._take_back(record, run_id)

    async def _hand_over(self, record: _Record, run: ProjectRun, task: RemoteTask, resolved: Resolved) -> int:
        from mlp.backends.databricks.submitting import submit  # noqa: PLC0415 -- most operators never need it

        def wanted() -> bytes:
            raise _ArchiveWanted

        def without(workspace: Workspace) -> int:
            return submit(workspace, task, wanted)

        try:
            return await self._call(record, without)
        except _ArchiveWanted:
            pass
        # Of many runs of one project, one brings it. The others find it there.
        async with self._uploads.of((record.door, task.project, task.upload_to)):
            try:
                return await self._call(record, without)
            except _ArchiveWanted:
                pass
            source = resolved.plan.source
            async with self._archives.brought(run, source, record.door) as archive:
                return await self._call(record, lambda workspace: submit(workspace, task, lambda: archive))

    async def _take_back(self, record: _Record, run_id: int) -> None:
        """Nobody asks for the run any more that has just been submitted: it must not go on."""
        try:
            await self._call(record, lambda workspace: workspace.cancel(run_id), kept=True)
        except (MlpError, ApiError, ClusterUnreachable) as error:
            logger.warning("%s/%s: its run %s on Databricks was not cancelled: %s", *record.key, run_id, error)

    async def _find(self, record: _Record, run: ProjectRun) -> None:
        from mlp.backends.databricks.compute import compute_of  # noqa: PLC0415 -- most operators never need it
        from mlp.backends.databricks.submitting import claim  # noqa: PLC0415

        token, backend = record.remote.token, run.spec.backend.databricks
        name = f"{run.namespace}/{run.name} ({token})"
        try:
            compute = compute_of(backend) if backend is not None else Compute(serverless=True)
            found = await self._call(
                record, lambda workspace: claim(workspace, token, name=name, compute=compute), kept=True
            )
        except Exception as error:  # noqa: BLE001 -- whatever it is, the run hears of it
            record.uncertain = True
            self._not_submitted(record, error, "looked for")
        else:
            self._submitted(record, found)

    def _submitted(self, record: _Record, run_id: int) -> None:
        record.failures = 0
        self._announced.discard(record.remote.token)
        self._change(record, run_id=str(run_id), submission=None)
        self._follow(record)

    def _not_submitted(self, record: _Record, error: Exception, what: str) -> None:
        message = _message(error, record, what)
        refused = isinstance(error, WorkspaceRefused | WorkspaceNotFound)
        # Once a request may have arrived, missing rights do not say that there is no run.
        unclear = record.uncertain and isinstance(error, WorkspaceError) and not refused
        if isinstance(error, MlpError) and not error.temporary and not unclear:
            # A cluster, or a policy, that is not there is a mistake in what was asked.
            reason = str(Reason.WORKSPACE_REFUSED if refused else error.reason)
            self._change(record, submission=Refused(reason, message))
            return
        if not isinstance(error, WorkspaceDenied):
            record.uncertain = True
        delay = min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(record.failures, 10))
        if isinstance(error, WorkspaceUnavailable):
            delay = max(delay, min(_LAST_RETRY, error.after))
        record.failures += 1
        retry_at = datetime.now(UTC) + timedelta(seconds=delay)
        reason = error.reason if isinstance(error, MlpError) else str(Reason.WORKSPACE_UNAVAILABLE)
        self._change(record, submission=Unavailable(reason, message, retry_at))

    # --- cancelling ---------------------------------------------------------------------------------------------------

    async def _cancel(self, record: _Record, run_id: int) -> None:
        failures = 0
        while not record.over:
            try:
                await self._call(record, lambda workspace: workspace.cancel(run_id), kept=True)
                break
            except WorkspaceNotFound:
                break  # whoever follows it hears the same
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is asked again
                record.cancel_trouble = _message(error, record, "cancelled")
                self._change(record, trouble=record.cancel_trouble)
                after = error.after if isinstance(error, WorkspaceUnavailable) else 0.0
                await asyncio.sleep(min(_LAST_RETRY, max(after, _FIRST_RETRY * 2 ** min(failures, 10))))
                failures += 1
        else:
            return
        record.cancel_trouble = ""
        self._change(record, cancelled_at=datetime.now(UTC), trouble=record.heard_trouble)

    # --- what it left behind ------------------------------------------------------------------------------------------

    async def _fetch(self, record: _Record, run: ProjectRun, state: RunState) -> None:
        output = RemoteOutput()
        try:
            async with asyncio.timeout(_OUTPUT_PATIENCE):
                if state.task_run_id is not None and (found := await self._output(record, state.task_run_id)):
                    output = RemoteOutput(tail(found.log, _LOG_IN_MESSAGES), found.error or None)
                    text = "".join(f"{line}\n" for line in found.lines(page_url=state.page_url))
                    output = replace(output, config_map=await self._keep_output(record, run, text))
        except TimeoutError:
            logger.warning("%s/%s: what it wrote on Databricks could not be had in time", *record.key)
        finally:
            self._change(record, output=output)

    async def _output(self, record: _Record, task_run_id: int) -> Output | None:
        from mlp.backends.databricks.output import output_of  # noqa: PLC0415 -- most operators never need it

        pause = _FIRST_RETRY / 2
        while True:
            try:
                return output_of(await self._call(record, lambda workspace: workspace.output(task_run_id), kept=True))
            except (WorkspaceNotFound, WorkspaceRefused):
                return None  # there is none: it was never started, or is too old
            except (MlpError, ApiError, ClusterUnreachable) as error:
                logger.info("%s/%s: what it wrote cannot be had yet: %s", *record.key, error)
            await asyncio.sleep(pause)
            pause *= 2

    async def _keep_output(self, record: _Record, run: ProjectRun, text: str) -> str | None:
        pause = _FIRST_RETRY / 2
        while text:
            try:
                return await keep_log(self._cluster, run, record.remote.token.rpartition("-")[2], text)
            except (ApiError, ClusterUnreachable) as error:
                logger.info("%s/%s: what it wrote cannot be kept yet: %s", *record.key, error)
            await asyncio.sleep(pause)
            pause *= 2
        return None

    # --- calling ------------------------------------------------------------------------------------------------------

    async def _call(self, record: _Record, ask: Callable[[Workspace], T], *, kept: bool = False) -> T:
        """Ask a workspace: in a thread, with the credentials of now.

        Args:
            record: Whose workspace.
            ask: The question.
            kept: Credentials that were read earlier will do where there are no others.
        """
        try:
            return await self._ask(record.door, ask, anew=False, kept=kept)
        except WorkspaceDenied:
            # They may have been replaced a moment ago.
            return await self._ask(record.door, ask, anew=True, kept=kept)

    async def _ask(self, door: Door, ask: Callable[[Workspace], T], *, anew: bool, kept: bool) -> T:
        asking = asyncio.create_task(door.ask(ask, self._threads, self._shares, anew=anew, kept=kept))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        # A thread cannot be ended: whoever does not wait any more leaves it the place that it has.
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(asking)


def _message(error: Exception, record: _Record, what: str) -> str:
    match error:
        case MlpError():
            return str(error)
        case ApiError() | ClusterUnreachable():
            return f"The API server was asked for what the run needs: {error}"
    logger.error("%s/%s: it could not be %s", *record.key, what, exc_info=error)
    return f"The run could not be {what} ({type(error).__name__}); the operator's log has more."
