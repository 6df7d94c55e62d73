"""What is there of a run, for a decision: its Job and pods, what was found out about it, what keeps it. Only reads.

The caches answer wherever they can. The API server is asked where a cache that is behind would mislead, and for events,
which are not kept here.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mlp.resources import names
from mlp_operator.machinery.cache import version_of
from mlp_operator.machinery.cluster import EVENTS, JOBS, ApiError
from mlp_operator.runs.actions import Observed, Refusal
from mlp_operator.runs.following import known_run
from mlp_operator.runs.hindrances import explain
from mlp_operator.runs.pods import init_started
from mlp_operator.runs.reporting import server

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cache import Key, Object, Store
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.runs.acting import Hindrance
    from mlp_operator.runs.actions import Recording, Remote, Rules
    from mlp_operator.runs.delegate import Delegate
    from mlp_operator.runs.pods import Situation
    from mlp_operator.runs.resolution import Resolver
    from mlp_operator.runs.tracking import Tracker

__all__ = ["Observer", "owned_by"]

_PATIENCE: Final = 10.0
"""Seconds that a Job may be without a pod, and a pod without a container, before it is asked why."""

logger = logging.getLogger(__name__)


class Observer:
    """Looks at one run after the other.

    Args:
        jobs: The Jobs of all runs.
        pods: Their pods.
        cluster: Who is asked for more.
        resolver: Knows how look-ups stand.
        tracker: Knows how runs stand in MLflow.
        delegate: Knows how runs stand on Databricks.
        rules: The operator's settings.
    """

    def __init__(
        self,
        *,
        jobs: Store,
        pods: Store,
        cluster: Cluster,
        resolver: Resolver,
        tracker: Tracker,
        delegate: Delegate,
        rules: Rules,
    ) -> None:
        self._jobs = jobs
        self._pods = pods
        self._cluster = cluster
        self._resolver = resolver
        self._tracker = tracker
        self._delegate = delegate
        self._rules = rules

    async def observe(self, key: Key, run: ProjectRun, hindrance: Hindrance) -> Observed:
        """Everything that a decision about a run is made from.

        Args:
            key: The run's key.
            run: The run.
            hindrance: What met its Job a moment ago.
        """
        job = self._own_job(key, run)
        if job is None and not run.finished and run.status.kubernetes is not None and run.status.kubernetes.job_uid:
            # Before a Job counts as deleted, the API server itself has to say so: the cache may be behind.
            job = await self._fetch_job(key, run)
        pods = tuple(pod for pod in self._pods.owned_by(key) if _of_run(pod, run, job))
        return Observed(
            job=job,
            pods=pods,
            outcome=self._resolver.outcome(key, run.uid),
            foreign_job=hindrance if isinstance(hindrance, dict) else None,
            refusal=hindrance if isinstance(hindrance, Refusal) else None,
            pod_refusal=await self._pod_refusal(run, job) if job is not None and not pods else None,
            hindrance=await self._hindrance(run, pods[-1]) if pods and not run.finished else None,
            recording=self._recording(key, run),
            remote=self._remote(key, run),
        )

    def _remote(self, key: Key, run: ProjectRun) -> Remote | None:
        stored = run.status.databricks
        if stored is None or stored.token is None or run.spec.managed_by not in (None, names.MANAGED_BY):
            return None
        found = self._delegate.remote(key, run.uid, stored.token)
        # Another process, which is about to end, may have submitted it and written its id since.
        unknown = found is None or (found.run_id is None and stored.run_id is not None)
        if unknown and (not run.finished or run.being_deleted):
            self._delegate.take_up(key, run, token=stored.token, run_id=stored.run_id)
            found = self._delegate.remote(key, run.uid, stored.token)
        return found

    def _recording(self, key: Key, run: ProjectRun) -> Recording | None:
        found = self._tracker.outcome(key, run.uid)
        if found is None and not run.finished and run.spec.managed_by in (None, names.MANAGED_BY):
            tracked, where = known_run(run, None), server(run, self._rules)
            if tracked is not None and where is not None:
                self._tracker.take_up(key, run, where, tracked, datetime.now(UTC))
        return found

    async def _hindrance(self, run: ProjectRun, pod: Object) -> Situation | None:
        """What keeps a pod that has waited for a while from its first container. Kubelet says much of it in events."""
        created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        waited = (datetime.now(UTC) - created).total_seconds()
        if pod["status"].get("phase") != "Pending" or waited < _PATIENCE or init_started(pod) is not None:
            return None
        selector = f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
        try:
            page = await self._cluster.list(EVENTS, [run.namespace], fields=selector)
        except ApiError as error:
            logger.info("%s/%s: what its pod waits for cannot be asked: %s", run.namespace, run.name, error)
            return None
        return explain(pod, page.items)

    async def _pod_refusal(self, run: ProjectRun, job: Object) -> str | None:
        """Why a Job has no pod after a while. The Job controller says it in events alone, and tries for ever."""
        created = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
        if run.finished or (datetime.now(UTC) - created).total_seconds() < _PATIENCE:
            return None
        selector = f"involvedObject.uid={job['metadata']['uid']},reason=FailedCreate"
        try:
            page = await self._cluster.list(EVENTS, [run.namespace], fields=selector)
        except ApiError as error:
            logger.info("%s/%s: why its Job has no pod cannot be asked: %s", run.namespace, run.name, error)
            return None
        return max(page.items, key=version_of)["message"] if page.items else None

    def _own_job(self, key: Key, run: ProjectRun) -> Object | None:
        job = self._jobs.get(key)
        return job if job is not None and owned_by(job, run) else None

    async def _fetch_job(self, key: Key, run: ProjectRun) -> Object | None:
        try:
            job = await self._cluster.get(JOBS, *key)
        except ApiError as error:
            if error.not_found:
                return None
            raise
        if not owned_by(job, run):
            return None
        self._jobs.put(job)
        return job


def owned_by(obj: Object, run: ProjectRun) -> bool:
    """Whether an object belongs to this very run, not to an earlier one with its name."""
    return any(owner["uid"] == run.uid for owner in obj["metadata"].get("ownerReferences") or ())


def _of_run(pod: Object, run: ProjectRun, job: Object | None) -> bool:
    """Whether a pod with the run's label is of a Job of this very run, not of an earlier one with its name."""
    owners = {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()}
    known = {job["metadata"]["uid"]} if job is not None else set()
    if run.status.kubernetes is not None and run.status.kubernetes.job_uid:
        known.add(run.status.kubernetes.job_uid)
    return bool(owners & known)
