"""Doing what was decided about a run: one request, or one word to those who work beside the loop, for each action.

What comes of it goes into the caches at once, so that the next decision knows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import EventReason, names
from mlp_operator.machinery.cluster import JOBS, PODS, ApiError, Resource
from mlp_operator.machinery.events import Event
from mlp_operator.runs.actions import (
    BeginTracking,
    CancelRemote,
    CreateJob,
    DeleteJob,
    DeletePods,
    DeleteRun,
    FetchOutput,
    FindRemote,
    HoldRun,
    LetRunGo,
    Refusal,
    ReleasePods,
    Requeue,
    Resolve,
    SubmitRemote,
    SuspendJob,
    WriteTracking,
)
from mlp_operator.runs.finalizers import Finalizers
from mlp_operator.runs.observing import owned_by
from mlp_operator.runs.recording import facts_of

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cache import Key, Object, Store
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.events import EventRecorder
    from mlp_operator.runs.actions import Action
    from mlp_operator.runs.delegate import Delegate
    from mlp_operator.runs.resolution import Resolver
    from mlp_operator.runs.tracking import Tracker

__all__ = ["RUNS", "Actor", "Hindrance"]

RUNS: Final = Resource(names.GROUP, names.VERSION, names.PLURAL)

Hindrance = Refusal | dict[str, Any] | None
"""Why a Job could not be created: the API server's refusal, or a foreign Job of that name."""

_JOB_ADOPTED: Final = Event("Normal", EventReason.JOB_ADOPTED, "Took up a Job that was there already")


class Actor:
    """Carries actions out.

    Args:
        runs: All ProjectRuns.
        jobs: Their Jobs.
        pods: Their pods.
        cluster: Where actions go.
        resolver: Looks projects up.
        tracker: Writes to tracking servers.
        delegate: Talks to Databricks.
        recorder: Posts events.
    """

    def __init__(
        self,
        *,
        runs: Store,
        jobs: Store,
        pods: Store,
        cluster: Cluster,
        resolver: Resolver,
        tracker: Tracker,
        delegate: Delegate,
        recorder: EventRecorder,
    ) -> None:
        self._runs = runs
        self._jobs = jobs
        self._pods = pods
        self._cluster = cluster
        self._resolver = resolver
        self._tracker = tracker
        self._delegate = delegate
        self._recorder = recorder
        self._run_finalizers = Finalizers(cluster, RUNS, runs)
        self._pod_finalizers = Finalizers(cluster, PODS, pods)

    async def act(self, key: Key, run: ProjectRun, action: Action) -> Hindrance:
        """Do one thing, and take what came of it into the caches, so that the next decision knows."""
        namespace, name = key
        if isinstance(action, SubmitRemote | FindRemote | CancelRemote | FetchOutput):
            self._delegate_to(key, run, action)
            return None
        match action:
            case HoldRun() | LetRunGo():
                await self._hold(key, run, action)
            case Resolve():
                self._resolver.start(key, run, datetime.now(UTC))
            case CreateJob(body=body):
                return await self._create(key, run, body)
            case DeleteJob(job=job):
                await self._delete(JOBS, self._jobs, job, propagation="Foreground")
            case DeletePods() | ReleasePods():
                await self._end(action)
            case SuspendJob() | Requeue():
                self._jobs.put(await self._cluster.patch(JOBS, namespace, name, self._steering(key, action)))
            case BeginTracking() | WriteTracking():
                self._track(key, run, action)
            case DeleteRun():
                # Another may have got the name while the actions before this one were done.
                if (stored := self._runs.get(key)) is not None and stored["metadata"]["uid"] == run.uid:
                    await self._delete(RUNS, self._runs, stored, propagation="Background")
        return None

    async def _end(self, action: DeletePods | ReleasePods) -> None:
        for pod in action.pods:
            if isinstance(action, ReleasePods):
                await self.release(pod)
            else:
                await self._delete(PODS, self._pods, pod, grace_seconds=1)

    def _steering(self, key: Key, action: SuspendJob | Requeue) -> Object:
        """The patch of the very Job that was decided about."""
        job = self._jobs.get(key)
        metadata: Object = {} if job is None else {"uid": job["metadata"]["uid"]}
        if isinstance(action, SuspendJob):
            return {"metadata": metadata, "spec": {"suspend": action.suspend}}
        return {"metadata": {**metadata, "labels": {names.QUEUE_LABEL: action.queue}}}

    def _track(self, key: Key, run: ProjectRun, action: BeginTracking | WriteTracking) -> None:
        now = datetime.now(UTC)
        match action:
            case BeginTracking(server=server, plan=plan, image=image):
                self._tracker.begin(key, run, server, facts_of(run, plan, image=image), now)
            case WriteTracking(server=server, run=tracked, wanted=wanted):
                self._tracker.write(key, run, server, tracked, wanted, now)

    def _delegate_to(
        self, key: Key, run: ProjectRun, action: SubmitRemote | FindRemote | CancelRemote | FetchOutput
    ) -> None:
        now = datetime.now(UTC)
        match action:
            case SubmitRemote(task=task, resolved=resolved):
                self._delegate.submit(key, run, task, resolved, now)
            case FindRemote(token=token):
                self._delegate.find(key, run, token, now)
            case CancelRemote(run_id=run_id):
                self._delegate.cancel(key, run, run_id, now)
            case FetchOutput(token=token, state=state):
                self._delegate.fetch(key, run, token, state, now)

    async def _hold(self, key: Key, run: ProjectRun, action: HoldRun | LetRunGo) -> None:
        """Put our finalizer on the ProjectRun that was decided about, or take it off."""
        stored = self._runs.get(key)
        if stored is None or stored["metadata"]["uid"] != run.uid:
            return
        if isinstance(action, HoldRun):
            await self._run_finalizers.put(stored, names.DATABRICKS_FINALIZER)
        else:
            await self.let_go(stored, action.abandoned)

    async def let_go(self, stored: Object, abandoned: str | None) -> None:
        """Take our finalizer off a ProjectRun.

        Args:
            stored: The ProjectRun.
            abandoned: What is left on Databricks, and what is to be done about it.
        """
        await self._run_finalizers.take_off(stored, names.DATABRICKS_FINALIZER)
        if abandoned is not None:
            self._recorder.record(stored, Event("Warning", EventReason.DATABRICKS_RUN_ABANDONED, abandoned))

    async def release(self, pod: Object) -> None:
        """Take our finalizer off a pod."""
        await self._pod_finalizers.take_off(pod, names.TRACKING_FINALIZER)

    async def _create(self, key: Key, run: ProjectRun, body: Object) -> Hindrance:
        try:
            job = await self._cluster.create(JOBS, key[0], body)
        except ApiError as error:
            if error.already_exists:
                # Perhaps it was made by us and the answer was lost, or by the process before this one.
                job = await self._cluster.get(JOBS, *key)
                if not owned_by(job, run):
                    return job
                if (regarding := self._runs.get(key)) is not None:
                    self._recorder.record(regarding, _JOB_ADOPTED)
                self._jobs.put(job)
                return None
            if error.refused:
                # A quota or a policy (403) may change its mind; a malformed pod (400, 422) does not.
                # So may an admission webhook, whatever status it chose.
                mind = error.status == 403 or "admission webhook" in error.message  # noqa: PLR2004 -- HTTP
                return Refusal(final=not mind, message=error.message)
            raise
        self._jobs.put(job)
        return None

    async def _delete(
        self,
        resource: Resource,
        store: Store,
        obj: Object,
        *,
        propagation: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        try:
            left: Object | None = await self._cluster.delete(
                resource, obj, propagation=propagation, grace_seconds=grace_seconds
            )
        except ApiError as error:
            # Gone already, or another of the same name is there (409: the uid does not fit): both are what we want.
            if not error.not_found and error.status != 409:  # noqa: PLR2004 -- HTTP
                raise
            left = None
        if left is None:
            store.discard(obj)
        else:
            store.put(left)
