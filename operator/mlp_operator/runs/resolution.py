"""The edge from a run to its plan: what is asked of servers and of the cluster, beside the loop and never inside of it.

Parameters' values come from the cluster, the project from Git or from an archive; the plan itself is made in
planning.py. What blocks works in threads, so many at a time as the settings say; each look-up ends at its deadline.
What fails for a reason that may pass is asked again, later each time.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import AuthenticationFailed, MlpError, ParameterPending, SourceUnavailable
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable
from mlp_operator.runs import bundles, remote_archives, repositories
from mlp_operator.runs.bundles import BundleMissing, Bundles
from mlp_operator.runs.outcome import Outcome, Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved, plan_run
from mlp_operator.runs.recording import server_of
from mlp_operator.runs.references import read_parameters
from mlp_operator.runs.remote_planning import plan_remote_run, refuse_for_databricks
from mlp_operator.runs.repositories import Repositories
from mlp_operator.runs.sharing import Kept, Work

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp.source import Snapshot
    from mlp_operator.machinery.cache import Key
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.machinery.queue import WorkQueue
    from mlp_operator.settings import Settings

__all__ = ["Resolver", "forget_old_credentials"]

_KEPT: Final = 32 << 20
"""Bytes of all kept snapshots together. A large repository's paths take as much as hundreds of small ones."""

logger = logging.getLogger(__name__)


def forget_old_credentials() -> None:
    """Remove what an operator that was killed in the middle of a look-up has left in this pod.

    A pod's temporary directory outlives its containers. Only for a pod, where nobody else works in that directory.
    """
    for prefix in (repositories.PREFIX, bundles.PREFIX, remote_archives.PREFIX):
        for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)


class Resolver:
    """Finds out what runs are to execute.

    Args:
        cluster: Where Secrets and ConfigMaps are.
        queue: Gets a run's key when its outcome is there.
        settings: Limits, what Git may do, and the tracking server.
        metrics: Learns how long look-ups take.
    """

    def __init__(self, cluster: Cluster, queue: WorkQueue, settings: Settings, metrics: Metrics) -> None:
        self._cluster = cluster
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._work = Work(settings.resolvers, name="look-up")
        self._snapshots: Kept[Snapshot] = Kept(_KEPT, weigh=_size)
        self._repositories = Repositories(cluster, settings, self._work, self._snapshots)
        self._bundles = Bundles(cluster, settings, self._work, self._snapshots)
        self._outcomes: dict[Key, tuple[str, Outcome]] = {}
        self._failures: dict[Key, tuple[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def outcome(self, key: Key, uid: str) -> Outcome | None:
        """What is known about a run; None if nobody has asked."""
        known = self._outcomes.get(key)
        return known[1] if known is not None and known[0] == uid else None

    def start(self, key: Key, run: ProjectRun, now: datetime) -> None:
        """Begin a look-up, unless one for this run goes on."""
        if isinstance(self.outcome(key, run.metadata.uid), Working):
            return
        self._outcomes[key] = (run.metadata.uid, Working(now))
        task = asyncio.create_task(self._run(key, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, key: Key) -> None:
        """A run needs no outcome any more. A look-up under way goes on: others may wait for the same answer."""
        self._outcomes.pop(key, None)
        self._failures.pop(key, None)

    async def close(self) -> None:
        """End all look-ups. Programs under way end with their own deadlines at the latest."""
        for task in list(self._tasks):
            task.cancel()
        shared = [*self._repositories.cancel(), *self._snapshots.cancel()]
        await asyncio.gather(*self._tasks, *shared, return_exceptions=True)
        self._work.close()

    async def _run(self, key: Key, run: ProjectRun) -> None:
        started = time.perf_counter()
        outcome: Outcome
        try:
            outcome = await self._resolve(run)
        except MlpError as error:
            outcome = self._failed(key, error)
        except (ApiError, ClusterUnreachable) as error:
            outcome = self._failed(key, SourceUnavailable(f"The credentials could not be read: {error}"))
        except Exception as error:  # noqa: BLE001 -- whatever it was, the run hears of it
            _log(key, error)
            outcome = self._failed(
                key,
                SourceUnavailable(
                    f"The look-up failed unexpectedly ({type(error).__name__}); the operator's log has more"
                ),
            )
        if self.outcome(key, run.metadata.uid) is not None:
            self._outcomes[key] = (run.metadata.uid, outcome)
        self._metrics.resolve_duration.labels(result=type(outcome).__name__).observe(time.perf_counter() - started)
        self._queue.add(key)

    def _failed(self, key: Key, error: MlpError) -> Outcome:
        if not error.temporary:
            return Refused(error.reason, str(error))
        first, longest = _pace(error)
        # What was waited for before does not make this wait longer.
        kind, failures = self._failures.get(key, ("", 0))
        failures = failures + 1 if kind == type(error).__name__ else 1
        self._failures[key] = type(error).__name__, failures
        delay = min(longest, first * 2 ** min(failures - 1, 20))
        return Unavailable(error.reason, str(error), datetime.now(UTC) + timedelta(seconds=delay))

    async def _resolve(self, run: ProjectRun) -> Resolved:
        remote = run.spec.backend.type == "Databricks"
        if remote:
            refuse_for_databricks(run)
        # First, because it is quick: whoever waits for a Secret does not ask Git again and again meanwhile.
        given = await read_parameters(self._cluster, run)
        if (bundle := run.spec.project.bundle) is not None:
            source, files = await self._bundles.look_up(run, bundle)
        else:
            try:
                source, files = await self._repositories.look_up(run)
            except AuthenticationFailed as error:
                raise AuthenticationFailed(f"{error} {repositories.advice(run)}") from None
        settings = self._settings
        tracking = server_of(run, settings.tracking_uri or None, settings.tracking_secret or None)
        if remote:
            return await asyncio.to_thread(
                plan_remote_run, run, files=files, source=source, values=given.values, tracking=tracking
            )
        # YAML of a quarter of a megabyte takes a second, in which nothing else would happen.
        return await asyncio.to_thread(
            plan_run,
            run,
            files=files,
            source=source,
            values=given.values,
            secrets=given.secrets,
            tracking=tracking,
        )


def _pace(error: MlpError) -> tuple[float, float]:
    """Seconds before the first try after such a failure, and the most that it becomes by doubling."""
    if isinstance(error, BundleMissing):
        return 0.3, 60.0  # made by the same command as the run, a moment later
    return 2.0, 60.0 if isinstance(error, ParameterPending) else 120.0


def _log(key: Key, error: Exception) -> None:
    """Say where a look-up failed, and not with which words: a message may repeat a value, and that be a secret."""
    places = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s/%s: the look-up failed unexpectedly with %s at\n%s", *key, type(error).__name__, places)


def _size(snapshot: Snapshot) -> int:
    """Bytes in memory, more or less: Python adds some 50 to each text, and a set a few words."""
    return 1000 + sum(len(path) + 100 for path in snapshot.paths) + sum(map(len, snapshot.contents.values()))
