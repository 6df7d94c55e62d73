"""One errand to a tracking server: by what right, in which thread, for how long, and what a failure means.

The servers are somebody else's. An errand has a time limit that no server can stretch, and none gets more than half of
the threads. Which errands there are, and when to try again, is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlp.errors import MlpError, TrackingDenied, TrackingNotFound, TrackingUnavailable, UsageError
from mlp.resources import Reason
from mlp.tracking import Refused, Unanswered
from mlp_operator.machinery.cluster import SECRETS, ApiError, ClusterUnreachable
from mlp_operator.runs.recording import Untracked
from mlp_operator.runs.sharing import Shares
from mlp_operator.runs.tracking_access import access_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.tracking import Tracking
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.runs.recording import TrackedRun, TrackingServer
    from mlp_operator.settings import Settings

__all__ = ["Errand", "Errands"]

_FIRST_RETRY: Final = 2.0
_LAST_RETRY: Final = 120.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Errand:
    """Something to be done in MLflow.

    Attributes:
        operation: Its name, for metrics.
        server: Where.
        namespace: Where the server's Secret is.
        run: The run in MLflow, if it is known.
        call: Does it; run in a thread.
        decided: When it was decided that this is to be done.
    """

    operation: str
    server: TrackingServer
    namespace: str
    run: TrackedRun | None
    call: Callable[[Tracking], TrackedRun]
    decided: datetime


class Errands:
    """Does errands, a bounded number at a time.

    Args:
        cluster: Where the Secrets with credentials are.
        settings: Limits.
        metrics: Learns how errands end.
    """

    def __init__(self, cluster: Cluster, settings: Settings, metrics: Metrics) -> None:
        self._cluster = cluster
        self._timeout = settings.tracking_timeout
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(settings.trackers, thread_name_prefix="mlflow")
        self._shares = Shares(max(1, settings.trackers // 2))
        self._open: dict[Tracking, asyncio.TimerHandle] = {}
        self._closing = False

    async def run(self, errand: Errand, *, failures: int) -> TrackedRun | Untracked:
        """Do an errand.

        Args:
            errand: What to do.
            failures: How often it has failed before: each time it should be left alone for longer.
        """
        try:
            found = await self._ask(errand)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the run goes on
            untracked = _untracked(error, errand, failures)
            self._metrics.tracking_requests.labels(operation=errand.operation, result=untracked.reason).inc()
            return untracked
        self._metrics.tracking_requests.labels(operation=errand.operation, result=str(Reason.RECORDED)).inc()
        return found

    def close(self) -> None:
        """End what is under way in threads; for those that nobody waits for any more."""
        self._closing = True
        for tracking, timer in self._open.items():
            timer.cancel()
            tracking.abort()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, errand: Errand) -> TrackedRun:
        access = access_to(errand.server, await self._secret(errand))

        def call() -> TrackedRun:
            with access.open(self._timeout) as tracking:
                loop.call_soon_threadsafe(watch, tracking)
                try:
                    return errand.call(tracking)
                finally:
                    loop.call_soon_threadsafe(leave, tracking)

        def watch(tracking: Tracking) -> None:
            # A server that sends a byte a second meets every limit but this one.
            self._open[tracking] = loop.call_later(0 if self._closing else self._timeout, tracking.abort)

        def leave(tracking: Tracking) -> None:
            self._open.pop(tracking).cancel()

        loop = asyncio.get_running_loop()
        async with self._shares.of(urlsplit(access.uri).netloc.lower() or access.host):
            return await loop.run_in_executor(self._threads, call)

    async def _secret(self, errand: Errand) -> dict[str, Any] | None:
        name = errand.server.secret
        if name is None:
            return None
        try:
            return await self._cluster.get(SECRETS, errand.namespace, name)
        except ApiError as error:
            if not error.not_found:
                raise
            # GitOps tools may apply the Secret after the run, so this is worth waiting for.
            raise TrackingUnavailable(
                f"There is no Secret {name} in namespace {errand.namespace}, which spec.tracking.secretRef or the "
                "operator's settings name. Create it with MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD; the run is recorded then by itself."
            ) from None


def _untracked(error: Exception, errand: Errand, failures: int) -> Untracked:
    """What a failure means for a run."""
    match error:
        case TrackingNotFound():
            reason, final = Reason.TRACKING_NOT_FOUND, True
        case TrackingDenied() | Refused() | UsageError():
            reason, final = Reason.TRACKING_DENIED, True
        case _:
            # Also an answer that is none of MLflow's: something in between may speak for a server that is away.
            reason, final = Reason.TRACKING_UNAVAILABLE, False
    match error:
        case MlpError():
            message = str(error)
        case ApiError() | ClusterUnreachable():
            message = f"The Secret {errand.server.secret} could not be read: {error}"
        case _:
            logger.error("MLflow could not be told for an unexpected reason", exc_info=error)
            message = f"MLflow could not be told ({type(error).__name__}); the operator's log has more."
    delay = _FIRST_RETRY * 2 ** min(failures, 10)
    if isinstance(error, Unanswered):
        delay = max(delay, error.after)
    retry_at = datetime.now(UTC) + timedelta(seconds=min(_LAST_RETRY, delay))
    return Untracked(str(reason), message, final, retry_at, errand.run)
