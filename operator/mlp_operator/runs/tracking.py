"""The edge to MLflow tracking servers: runs' records are written beside the loop and never inside of it.

The servers are somebody else's. A write has a time limit that no server can stretch, and none gets more than half of
the threads. Of one run one thing is written at a time, and of several that wait the last.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlp.errors import MlpError, TrackingNotFound, TrackingUnavailable
from mlp.resources import Reason
from mlp.tracking import Refused, Unanswered
from mlp_operator.machinery.cluster import SECRETS, ApiError, ClusterUnreachable
from mlp_operator.runs import tracking_calls
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.recording import FINISHED, KILLED, TrackedRun, Untracked, abandoned_run
from mlp_operator.runs.sharing import Shares
from mlp_operator.runs.tracking_access import access_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlp.resources import ProjectRun
    from mlp.tracking import Tracking
    from mlp_operator.machinery.cache import Key
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue
    from mlp_operator.runs.recording import RunFacts, TrackingServer
    from mlp_operator.settings import Settings

__all__ = ["Tracker"]

_FIRST_RETRY: Final = 2.0
_LAST_RETRY: Final = 120.0
_ABANDONED: Final = 120.0
"""Seconds that a pod without a ProjectRun may wait for a server."""

Outcome = Working | TrackedRun | Untracked

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """Something to be done in MLflow."""

    operation: str
    server: TrackingServer
    namespace: str
    run: TrackedRun | None
    call: Callable[[Tracking], TrackedRun]
    now: datetime


@dataclass(slots=True)
class _Record:
    """What is known of one run, and what is to be done."""

    key: Key
    outcome: Outcome
    newest: datetime
    """When the newest of what has been done, or is to be done, was decided."""
    next: _Task | None = None
    failures: int = 0
    at_work: asyncio.Task[None] | None = None
    forgotten: bool = False


@dataclass(slots=True)
class _Abandoned:
    """A pod whose run in MLflow has to be ended."""

    key: Key
    since: datetime
    task: asyncio.Task[None] | None = None
    done: bool = False


class Tracker:
    """Keeps runs' records in MLflow.

    Args:
        cluster: Where the Secrets with credentials are.
        queue: Gets a run's key when its outcome is there.
        settings: The default server, and limits.
        metrics: Learns how often servers were told something.
    """

    def __init__(self, cluster: Cluster, queue: WorkQueue, settings: Settings, metrics: Metrics) -> None:
        self._cluster = cluster
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(settings.trackers, thread_name_prefix="mlflow")
        self._shares = Shares(max(1, settings.trackers // 2))
        self._records: dict[str, _Record] = {}
        self._abandoned: dict[str, _Abandoned] = {}
        self._open: dict[Tracking, asyncio.TimerHandle] = {}
        self._closing = False

    def outcome(self, key: Key, uid: str) -> Outcome | None:
        """What is known about a run's record; None if nobody has asked."""
        record = self._records.get(uid)
        return record.outcome if record is not None and record.key == key and not record.forgotten else None

    def begin(self, key: Key, run: ProjectRun, server: TrackingServer, facts: RunFacts, now: datetime) -> None:
        """Find a run in MLflow, or make it; unless something goes on."""
        if isinstance(self.outcome(key, run.uid), Working):
            return
        self._start(
            key,
            run.uid,
            _Task(
                operation="begin",
                server=server,
                namespace=run.namespace,
                run=None,
                call=lambda tracking: tracking_calls.begin(tracking, server, facts, now),
                now=now,
            ),
        )

    def write(  # noqa: PLR0913 -- what is written, to whom, and when
        self,
        key: Key,
        run: ProjectRun,
        server: TrackingServer,
        tracked: TrackedRun,
        state: str,
        tags: Mapping[str, str],
        ended: datetime | None,
        now: datetime,
        *,
        since: datetime | None = None,
        told_to_end: datetime | None = None,
    ) -> None:
        """Make a run in MLflow say this. What still waits to be written is not written any more.

        Args:
            key: The run's key.
            run: The run.
            server: Where its record is.
            tracked: Which one.
            state: MLflow's word for the run's state.
            tags: To be set beside it. The reason of a failure that is not among them is taken away.
            ended: When the run ended.
            now: When that was decided: what is older never replaces what is newer.
            since: When the command of the current attempt began, if that is known: only a state that was set later is
                the verdict of its own code.
            told_to_end: When the command was told to end: a state that was set later is its answer to that, no verdict.
        """
        self._start(
            key,
            run.uid,
            _Task(
                operation="write",
                server=server,
                namespace=run.namespace,
                run=tracked,
                call=lambda tracking: tracking_calls.write(
                    tracking, tracked, state, tags, ended=ended, since=since, told_to_end=told_to_end, now=now
                ),
                now=now,
            ),
        )

    def abandon(self, key: Key, pod: Mapping[str, Any], now: datetime) -> None:
        """End the run in MLflow of a pod whose ProjectRun is gone. `released` tells when the pod may go.

        That may be asked for again and again, and is done once. It is given up after two minutes: nothing hangs for
        ever because of a server, or of a Secret that went with its namespace.

        Args:
            key: The key that the ProjectRun had; it is put on the queue then.
            pod: The pod, with its annotation.
            now: The present moment.
        """
        uid = pod["metadata"]["uid"]
        if uid in self._abandoned:
            return
        self._abandoned[uid] = abandoned = _Abandoned(key, now)
        found = abandoned_run(pod, self._settings.tracking_uri or None)
        if found is None:
            abandoned.done = True
            self._queue.add(key)
            return
        server, tracked = found
        # What ended well before its owner was deleted has ended well.
        state = FINISHED if (pod.get("status") or {}).get("phase") == "Succeeded" else KILLED
        work = self._abandon(abandoned, pod["metadata"]["namespace"], server, tracked, state)
        abandoned.task = asyncio.create_task(work)

    def released(self, pod_uid: str) -> bool:
        """Whether an abandoned pod may go: its run in MLflow has ended, or that has been given up."""
        abandoned = self._abandoned.get(pod_uid)
        return abandoned is not None and abandoned.done

    def forget(self, key: Key) -> None:
        """Nobody will ask for this run and its pods any more. What is still to be written is written."""
        for uid, record in list(self._records.items()):
            if record.key == key:
                record.forgotten = True
                if record.at_work is None:
                    del self._records[uid]
        for uid, abandoned in list(self._abandoned.items()):
            if abandoned.key == key and abandoned.done:
                del self._abandoned[uid]

    async def close(self) -> None:
        """End everything that goes on."""
        self._closing = True
        at_work = [record.at_work for record in self._records.values()]
        at_work += [abandoned.task for abandoned in self._abandoned.values()]
        tasks = [task for task in at_work if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tracking, timer in self._open.items():
            timer.cancel()
            tracking.abort()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, key: Key, uid: str, task: _Task) -> None:
        record = self._records.get(uid)
        if record is None:
            record = self._records[uid] = _Record(key, Working(task.now), task.now)
        record.forgotten = False
        if task.now < record.newest:
            return
        record.newest, record.next = task.now, task
        if record.at_work is None:
            record.outcome = Working(task.now)
            record.at_work = asyncio.create_task(self._work(uid, record))

    async def _work(self, uid: str, record: _Record) -> None:
        try:
            while record.next is not None:
                task, record.next = record.next, None
                record.outcome = await self._outcome(record, task)
                if record.next is not None:
                    record.outcome = Working(record.next.now)
        finally:
            record.at_work = None
            if record.forgotten:
                del self._records[uid]
        if not record.forgotten:
            self._queue.add(record.key)

    async def _outcome(self, record: _Record, task: _Task) -> Outcome:
        try:
            found = await self._ask(task)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the run goes on
            untracked = self._untracked(error, task, record.failures + 1)
            record.failures = 0 if untracked.final else record.failures + 1
            return untracked
        record.failures = 0
        return found

    async def _abandon(
        self, abandoned: _Abandoned, namespace: str, server: TrackingServer, tracked: TrackedRun, state: str
    ) -> None:
        await self._last_words(abandoned.key, tracked)

        def call(tracking: Tracking) -> TrackedRun:
            tracking_calls.abandon(tracking, tracked, state, namespace, datetime.now(UTC))
            return tracked

        failures = 0
        while True:
            now = datetime.now(UTC)
            task = _Task("abandon", server, namespace, tracked, call, now)
            try:
                await self._ask(task)
                break
            except Exception as error:  # noqa: BLE001 -- whatever it is, the pod must go in the end
                failures += 1
                untracked = self._untracked(error, task, failures)
            if untracked.final or (untracked.retry_at - abandoned.since).total_seconds() > _ABANDONED:
                logger.warning(
                    "%s/%s: its run %s in MLflow could not be ended: %s",
                    *abandoned.key,
                    tracked.run_id,
                    untracked.message,
                )
                break
            await asyncio.sleep((untracked.retry_at - datetime.now(UTC)).total_seconds())
        abandoned.done = True
        self._queue.add(abandoned.key)

    async def _last_words(self, key: Key, tracked: TrackedRun) -> None:
        """Wait for what is being written about a run, and let nothing else be written."""
        for record in self._records.values():
            if record.key == key and record.at_work is not None:
                if record.next is not None and record.next.run is not None and record.next.run.run_id == tracked.run_id:
                    record.next = None
                await asyncio.wait([record.at_work])
                return

    def _untracked(self, error: Exception, task: _Task, failures: int) -> Untracked:
        delay = min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(failures - 1, 10))
        if isinstance(error, Unanswered):
            delay = max(delay, min(_LAST_RETRY, error.after))
        retry_at = datetime.now(UTC) + timedelta(seconds=delay)
        reason, final = Reason.TRACKING_UNAVAILABLE, False
        match error:
            case TrackingNotFound():
                reason, final = Reason.TRACKING_NOT_FOUND, True
            case TrackingUnavailable():
                pass
            case MlpError() if error.reason == Reason.TRACKING_DENIED or isinstance(error, Refused):
                reason, final = Reason.TRACKING_DENIED, True
            case MlpError() if error.reason == "InvalidSpec":
                reason, final = Reason.TRACKING_DENIED, True
        if isinstance(error, MlpError):
            message = str(error)
        elif isinstance(error, ApiError | ClusterUnreachable):
            message = f"The Secret {task.server.secret} could not be read: {error}"
        else:
            logger.error("MLflow could not be told for an unexpected reason", exc_info=error)
            message = f"MLflow could not be told ({type(error).__name__}); the operator's log has more."
        self._metrics.tracking_requests.labels(operation=task.operation, result=str(reason)).inc()
        return Untracked(str(reason), message, final, retry_at, task.run)

    async def _ask(self, task: _Task) -> TrackedRun:
        access = access_to(task.server, await self._secret(task))

        def call() -> TrackedRun:
            with access.open(self._settings.tracking_timeout) as tracking:
                loop.call_soon_threadsafe(watch, tracking)
                try:
                    return task.call(tracking)
                finally:
                    loop.call_soon_threadsafe(leave, tracking)

        def watch(tracking: Tracking) -> None:
            # A server that sends a byte a second meets every limit but this one.
            self._open[tracking] = loop.call_later(
                0 if self._closing else self._settings.tracking_timeout, tracking.abort
            )

        def leave(tracking: Tracking) -> None:
            self._open.pop(tracking).cancel()

        loop = asyncio.get_running_loop()
        async with self._shares.of(urlsplit(access.uri).hostname or access.host):
            found = await loop.run_in_executor(self._threads, call)
        self._metrics.tracking_requests.labels(operation=task.operation, result=str(Reason.RECORDED)).inc()
        return found

    async def _secret(self, task: _Task) -> dict[str, Any] | None:
        name = task.server.secret
        if name is None:
            return None
        try:
            return await self._cluster.get(SECRETS, task.namespace, name)
        except ApiError as error:
            if not error.not_found:
                raise
            # GitOps tools may apply the Secret after the run, so this is worth waiting for.
            raise TrackingUnavailable(
                f"There is no Secret {name} in namespace {task.namespace}, which spec.tracking.secretRef or the "
                "operator's settings name. Create it with MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD; the run is recorded then by itself."
            ) from None
