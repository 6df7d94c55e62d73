"""The operator's process: reads the settings, wires the parts together, starts and stops them in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from mlp.resources import names
from mlp_operator.machinery.cache import Store, key_of
from mlp_operator.machinery.cluster import JOBS, PODS, ApiError, Cluster, ClusterUnreachable
from mlp_operator.machinery.events import EventRecorder
from mlp_operator.machinery.health import Freshness, Health, serve_health
from mlp_operator.machinery.loop import resync, resync_forever, work
from mlp_operator.machinery.metrics import Metrics
from mlp_operator.machinery.queue import WorkQueue
from mlp_operator.machinery.watching import Watched, watch
from mlp_operator.runs.actions import Rules
from mlp_operator.runs.caching import owner_by_label, trim_job, trim_pod, trim_run
from mlp_operator.runs.controller import RUNS, RunController
from mlp_operator.runs.delegate import Delegate
from mlp_operator.runs.job import PodDefaults
from mlp_operator.runs.resolution import Resolver, forget_old_credentials
from mlp_operator.runs.tracking import Tracker
from mlp_operator.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "run_operator"]

_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, None)
"""Seconds between attempts to reach the API server at the start; then the process ends, and is started anew."""

logger = logging.getLogger(__name__)


def main() -> None:
    """Run the operator until SIGTERM or SIGINT. Exit code 1 where it cannot start or a part of it has failed."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        sys.exit(f"mlp-operator: {error}")
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        forget_old_credentials()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_until_signalled(settings))
    except (ApiError, ClusterUnreachable) as error:
        logger.critical("%s", error)
        sys.exit(1)


async def _until_signalled(settings: Settings) -> None:
    stop = asyncio.Event()

    def listen() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    listen()
    await run_operator(settings, stop, listen)


async def run_operator(settings: Settings, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serve ProjectRuns until told to stop.

    The caches are filled before any work begins, so that nothing is decided on half a picture. On the way out the
    watches end first, then the work in hand gets its time, then the events are posted.

    Args:
        settings: The operator's settings.
        stop: Ends the operator when set.
        ready: Called when everything runs. Signals are then to be taken back from kopf.

    Raises:
        ApiError: The API server refuses what is needed, for want of the CRD or of rights.
        ClusterUnreachable: There is no API server.
    """
    metrics = Metrics()
    freshness = Freshness(grace=settings.watch_grace)
    health = Health(freshness, resync_limit=3 * settings.resync_period)
    queue = WorkQueue()
    runs, jobs, pods = Store(key_of, trim_run), Store(owner_by_label, trim_job), Store(owner_by_label, trim_pod)
    kinds = (
        Watched(RUNS, runs),
        Watched(JOBS, jobs, names.RUN_LABEL),
        Watched(PODS, pods, names.RUN_LABEL),
    )
    async with Cluster(timeout=settings.request_timeout, metrics=metrics) as cluster:
        web = await serve_health(health, metrics, host=settings.health_host, port=settings.health_port)
        recorder = EventRecorder(cluster, component="mlp-operator")
        resolver = Resolver(cluster, queue, settings, metrics)
        tracker = Tracker(cluster, queue, settings, metrics)
        delegate = Delegate(cluster, queue, settings, metrics)
        controller = RunController(
            runs=runs,
            jobs=jobs,
            pods=pods,
            cluster=cluster,
            resolver=resolver,
            tracker=tracker,
            delegate=delegate,
            recorder=recorder,
            rules=Rules(
                _pod_defaults(settings), settings.progress_delay, remote_limit=settings.databricks_status_timeout
            ),
        )
        try:
            await _first_lists(kinds, queue, cluster, settings.namespaces, stop)
            health.resynced()
            logger.info("serving %s; %d runs are known", ", ".join(settings.namespaces) or "all namespaces", len(runs))
            async with asyncio.TaskGroup() as tasks:
                # Tasks that kopf finds running when it starts are the only ones that it leaves alone when it ends.
                posting = tasks.create_task(recorder.run())
                working = [tasks.create_task(work(queue, controller, metrics)) for _ in range(settings.workers)]
                listing = tasks.create_task(
                    resync_forever(
                        kinds, queue, cluster, settings.namespaces, freshness, health, period=settings.resync_period
                    )
                )
                started = asyncio.Event()
                announcing = tasks.create_task(_then(started, ready))
                await watch(
                    kinds,
                    queue,
                    namespaces=settings.namespaces,
                    stop=stop,
                    started=started,
                    freshness=freshness,
                    metrics=metrics,
                )
                logger.info("stopping")
                listing.cancel()
                announcing.cancel()
                await _finish(working, queue, settings.shutdown_timeout)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(recorder.flush(), settings.shutdown_timeout)
                posting.cancel()
        finally:
            queue.close()
            await resolver.close()
            await tracker.close()
            await delegate.close()
            await web.cleanup()


def _pod_defaults(settings: Settings) -> PodDefaults:
    return PodDefaults(
        settings.runner_image,
        settings.runner_image_pull_policy,
        cache_claim=settings.environment_claim or None,
        tracking_uri=settings.tracking_uri or None,
        tracking_secret=settings.tracking_secret or None,
        step_variables=settings.step_variables,
    )


async def _first_lists(
    kinds: Sequence[Watched], queue: WorkQueue, cluster: Cluster, namespaces: Sequence[str], stop: asyncio.Event
) -> None:
    """Fill the caches. An API server that is starting, or busy with a CRD that was just applied, is waited for."""
    for pause in _PAUSES:
        try:
            await resync(kinds, queue, cluster, namespaces)
        except (ApiError, ClusterUnreachable) as error:
            if isinstance(error, ApiError) and error.not_found:
                text = "the cluster does not know ProjectRuns: apply crds/ first"
                raise ApiError(error.status, error.reason, text) from error
            if pause is None or (isinstance(error, ApiError) and error.refused):
                raise
            logger.warning("%s; again in %g s", error, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            if stop.is_set():
                raise
        else:
            return


async def _then(event: asyncio.Event, do: Callable[[], None]) -> None:
    await event.wait()
    do()


async def _finish(working: list[asyncio.Task[None]], queue: WorkQueue, patience: float) -> None:
    """Let the workers finish what they have in hand; what waits is for the next process."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(queue.idle(), patience)
    for task in working:
        task.cancel()
