"""The edge to MLflow tracking servers: runs' records are written beside the loop and never inside of it.

Of one run one thing is written at a time, and of several that wait the last. Nothing here is kept for good: what an
operator did not get to, the next one derives anew from what the runs are.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mlp_operator.runs import tracking_calls
from mlp_operator.runs.errands import Errand, Errands
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.pods import completion, told_to_end
from mlp_operator.runs.recording import FINISHED, KILLED, TrackedRun, Untracked, abandoned_run

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlp.resources import ProjectRun
    from mlp.tracking import Tracking
    from mlp_operator.machinery.cache import Key
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue
    from mlp_operator.runs.actions import Wanted
    from mlp_operator.runs.recording import RunFacts, TrackingServer
    from mlp_operator.settings import Settings

__all__ = ["Tracker"]

_ABANDONED: Final = 120.0
"""Seconds that a pod without a ProjectRun may wait for a server."""

_TERMINAL: Final = frozenset({"FINISHED", "FAILED", "KILLED"})

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Record:
    """What is known of one run, and what is to be done.

    Attributes:
        key: The run's key.
        outcome: What is known.
        server: Where it is.
        namespace: Where the server's Secret is.
        newest: When the newest of what has been done, or is to be done, was decided.
        next: What is to be done next.
        failures: How often in a row it could not be done.
        at_work: Does it.
        forgotten: Whether nobody will ask any more.
        wanted: The state that was to be written last.
    """

    key: Key
    outcome: Working | TrackedRun | Untracked
    server: TrackingServer
    namespace: str
    newest: datetime
    next: Errand | None = None
    failures: int = 0
    at_work: asyncio.Task[None] | None = None
    forgotten: bool = False
    wanted: str = ""


@dataclass(slots=True)
class _Abandoned:
    """A pod whose run in MLflow has to be ended."""

    key: Key
    since: datetime
    at_work: asyncio.Task[None] | None = None
    done: bool = False


class Tracker:
    """Keeps runs' records in MLflow.

    Args:
        cluster: Where the Secrets with credentials are.
        queue: Gets a run's key when its outcome is there.
        settings: The operator's own server, and limits.
        metrics: Learns how often servers were told something.
    """

    def __init__(self, cluster: Cluster, queue: WorkQueue, settings: Settings, metrics: Metrics) -> None:
        self._queue = queue
        self._own_uri = settings.tracking_uri or None
        self._errands = Errands(cluster, settings, metrics)
        self._records: dict[str, _Record] = {}
        self._abandoned: dict[str, _Abandoned] = {}

    def outcome(self, key: Key, uid: str) -> Working | TrackedRun | Untracked | None:
        """What is known about a run's record; None if nobody has asked."""
        record = self._records.get(uid)
        return record.outcome if record is not None and record.key == key and not record.forgotten else None

    def begin(self, key: Key, run: ProjectRun, server: TrackingServer, facts: RunFacts, now: datetime) -> None:
        """Find a run in MLflow, or make it; unless something goes on."""
        if isinstance(self.outcome(key, run.uid), Working):
            return

        def call(tracking: Tracking) -> TrackedRun:
            return tracking_calls.begin(tracking, server, facts, now)

        self._start(key, run.uid, Errand("begin", server, run.namespace, None, call, now))

    def write(
        self, key: Key, run: ProjectRun, server: TrackingServer, tracked: TrackedRun, wanted: Wanted, now: datetime
    ) -> None:
        """Make a run in MLflow say this. What still waits to be written is not written any more.

        Args:
            key: The run's key.
            run: The run.
            server: Where its record is.
            tracked: Which one.
            wanted: What it shall say. The reason of a failure that is not among its tags is taken away.
            now: When that was decided: what is older never replaces what is newer.
        """

        def call(tracking: Tracking) -> TrackedRun:
            return tracking_calls.write(tracking, tracked, wanted, now)

        self._start(key, run.uid, Errand("write", server, run.namespace, tracked, call, now), wanted.state)

    def take_up(self, key: Key, run: ProjectRun, server: TrackingServer, tracked: TrackedRun, now: datetime) -> None:
        """Know of a record of an earlier process: it is to be ended if the run goes before anything is written."""
        if run.uid not in self._records:
            self._records[run.uid] = _Record(key, tracked, server, run.namespace, now)

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
        found = abandoned_run(pod, self._own_uri)
        if found is None:
            abandoned.done = True
            self._queue.add(key)
            return
        server, tracked = found
        namespace = pod["metadata"]["namespace"]
        state = FINISHED if _ended_well(pod) else KILLED

        def call(tracking: Tracking) -> TrackedRun:
            tracking_calls.abandon(tracking, tracked, state, namespace, now)
            return tracked

        errand = Errand("abandon", server, namespace, tracked, call, now)
        abandoned.at_work = asyncio.create_task(self._abandon(abandoned, errand, tracked))

    def released(self, pod_uid: str) -> bool:
        """Whether an abandoned pod may go: its run in MLflow has ended, or that has been given up."""
        abandoned = self._abandoned.get(pod_uid)
        return abandoned is not None and abandoned.done

    def leave(self, key: Key, now: datetime, *, present: str | None = None, told_by_pods: Collection[str] = ()) -> None:
        """A ProjectRun is gone: end its record, unless that has ended, and forget it.

        Args:
            key: The key that it had.
            now: The present moment.
            present: The uid of the ProjectRun that has this key now, whose record stays.
            told_by_pods: Runs in MLflow that pods say themselves to be their own. They know how they end (`abandon`);
                a run may be deleted before it has a pod.
        """
        for uid, record in list(self._records.items()):
            if record.key != key or uid == present or record.forgotten:
                continue
            self._abandoned[uid] = abandoned = _Abandoned(key, now)
            abandoned.at_work = asyncio.create_task(self._leave(uid, abandoned, record, frozenset(told_by_pods)))
            self._forget(uid, record)
        if present is None:
            self.forget(key)

    def forget(self, key: Key) -> None:
        """Nobody will ask for this run and its pods any more. What is still to be written is written."""
        for uid, record in list(self._records.items()):
            if record.key == key:
                self._forget(uid, record)
        for uid, abandoned in list(self._abandoned.items()):
            if abandoned.key == key and abandoned.done:
                del self._abandoned[uid]

    async def close(self) -> None:
        """End everything that goes on."""
        at_work = [record.at_work for record in self._records.values()]
        at_work += [abandoned.at_work for abandoned in self._abandoned.values()]
        tasks = [task for task in at_work if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._errands.close()

    def _forget(self, uid: str, record: _Record) -> None:
        record.forgotten = True
        if record.at_work is None:
            del self._records[uid]

    def _start(self, key: Key, uid: str, errand: Errand, wanted: str = "") -> None:
        record = self._records.get(uid)
        if record is None:
            record = self._records[uid] = _Record(
                key, Working(errand.decided), errand.server, errand.namespace, errand.decided
            )
        record.forgotten = False
        if errand.decided < record.newest:
            return
        record.newest, record.next, record.wanted = errand.decided, errand, wanted
        if record.at_work is None:
            record.outcome = Working(errand.decided)
            record.at_work = asyncio.create_task(self._work(uid, record))

    async def _work(self, uid: str, record: _Record) -> None:
        while (errand := record.next) is not None:
            record.next, record.outcome = None, Working(errand.decided)
            outcome = await self._errands.run(errand, failures=record.failures)
            record.failures = record.failures + 1 if isinstance(outcome, Untracked) and not outcome.final else 0
            record.outcome = outcome
        record.at_work = None
        if record.forgotten:
            del self._records[uid]
        else:
            self._queue.add(record.key)

    async def _leave(self, uid: str, abandoned: _Abandoned, record: _Record, told_by_pods: frozenset[str]) -> None:
        record.next = None
        if record.at_work is not None:
            await asyncio.wait([record.at_work])
        known = record.outcome.run if isinstance(record.outcome, Untracked) else record.outcome
        if isinstance(known, TrackedRun) and known.state not in _TERMINAL and known.run_id not in told_by_pods:
            tracked, namespace = known, record.namespace
            # What had ended before it was deleted, and could not be written, has not been killed.
            state = record.wanted if record.wanted in _TERMINAL else KILLED

            def call(tracking: Tracking) -> TrackedRun:
                tracking_calls.abandon(tracking, tracked, state, namespace, abandoned.since)
                return tracked

            errand = Errand("abandon", record.server, namespace, tracked, call, abandoned.since)
            await self._abandon(abandoned, errand, tracked)
        self._abandoned.pop(uid, None)

    async def _abandon(self, abandoned: _Abandoned, errand: Errand, tracked: TrackedRun) -> None:
        try:
            # A server that hangs keeps others waiting for their turn, too.
            async with asyncio.timeout(_ABANDONED):
                await self._last_words(abandoned.key, tracked)
                trouble = await self._insist(abandoned, errand)
        except TimeoutError:
            trouble = f"that was not done within {_ABANDONED:g} seconds"
        if trouble is not None:
            logger.warning(
                "%s/%s: its run %s in MLflow could not be ended: %s", *abandoned.key, tracked.run_id, trouble
            )
        abandoned.done = True
        self._queue.add(abandoned.key)

    async def _insist(self, abandoned: _Abandoned, errand: Errand) -> str | None:
        """Do an errand, again and again if need be; say why it was given up."""
        failures = 0
        while isinstance(outcome := await self._errands.run(errand, failures=failures), Untracked):
            failures += 1
            if outcome.final or (outcome.retry_at - abandoned.since).total_seconds() > _ABANDONED:
                return outcome.message
            await asyncio.sleep((outcome.retry_at - datetime.now(UTC)).total_seconds())
        return None

    async def _last_words(self, key: Key, tracked: TrackedRun) -> None:
        """Wait for what is being written about a run, and let nothing else be written."""
        for record in list(self._records.values()):
            if record.key == key and record.at_work is not None:
                if record.next is not None and record.next.run is not None and record.next.run.run_id == tracked.run_id:
                    record.next = None
                await asyncio.wait([record.at_work])


def _ended_well(pod: Mapping[str, Any]) -> bool:
    """Whether a command had ended well before its pod was deleted: one that obeys SIGTERM may call that success."""
    if (pod.get("status") or {}).get("phase") != "Succeeded":
        return False
    told, ended = told_to_end(pod), completion(pod)
    return told is None or ended is None or ended <= told
