"""The edge of a run: observe, decide, act. All thinking is in `decide`; all that happens to the cluster is here."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from mlp.errors import UsageError
from mlp.resources import ConditionType, EventReason, Phase, ProjectRun, ProjectRunStatus, names
from mlp_operator.machinery.cache import version_of
from mlp_operator.machinery.cluster import EVENTS, JOBS, PODS, ApiError, Resource
from mlp_operator.machinery.events import Event
from mlp_operator.runs import status as status_of
from mlp_operator.runs.actions import (
    BeginTracking,
    CreateJob,
    DeleteJob,
    DeletePods,
    DeleteRun,
    Observed,
    Refusal,
    ReleasePods,
    Requeue,
    Resolve,
    SuspendJob,
    WriteTracking,
)
from mlp_operator.runs.decide import decide
from mlp_operator.runs.following import known_run, unrecorded
from mlp_operator.runs.hindrances import explain
from mlp_operator.runs.pods import held, init_started, left
from mlp_operator.runs.recording import facts_of, told_by
from mlp_operator.runs.reporting import server
from mlp_operator.runs.situation import Situation
from mlp_operator.runs.transitions import events_between

if TYPE_CHECKING:
    from mlp_operator.machinery.cache import Key, Object, Store
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.events import EventRecorder
    from mlp_operator.runs.actions import Action, Recording, Rules
    from mlp_operator.runs.resolution import Resolver
    from mlp_operator.runs.tracking import Tracker

__all__ = ["RUNS", "RunController"]

RUNS: Final = Resource(names.GROUP, names.VERSION, names.PLURAL)

_PASSES: Final = 10
"""More decisions than this in one go would be a circle."""

_PAUSE: Final = 5.0
_PATIENCE: Final = 10.0
"""Seconds that a Job may be without a pod before it is asked why."""
_FEW: Final = 10
_STARTING: Final = (Phase.PENDING, Phase.RESOLVING, Phase.PREPARING)

Hindrance = Refusal | dict[str, Any] | None
"""Why a Job could not be created: the API server's refusal, or a foreign Job of that name."""

logger = logging.getLogger(__name__)


class RunController:
    """Brings ProjectRuns to their ends.

    Args:
        runs: All ProjectRuns.
        jobs: Their Jobs.
        pods: Their pods.
        cluster: Where actions go.
        resolver: Looks projects up.
        tracker: Writes to tracking servers.
        recorder: Posts events.
        rules: The operator's settings, as decisions need them.
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
        recorder: EventRecorder,
        rules: Rules,
    ) -> None:
        self._runs = runs
        self._jobs = jobs
        self._pods = pods
        self._cluster = cluster
        self._resolver = resolver
        self._tracker = tracker
        self._recorder = recorder
        self._rules = rules
        self._starting: set[Key] = set()
        self._seen: dict[Key, str] = {}
        """The uids of the runs that are there, by their keys."""

    async def reconcile(self, key: Key) -> float | None:
        """Bring one run as far as it can go now.

        Returns:
            The seconds after which to look again even if nothing happens, or None.
        """
        hindrance: Hindrance = None
        for _ in range(_PASSES):
            body = self._runs.get(key)
            self._count(key, body)
            await self._leave_earlier_runs(key, body)
            self._leave_earlier_records(key, body)
            if body is None:
                self._resolver.forget(key)
                return None
            try:
                run = ProjectRun.parse(body)
            except UsageError as error:
                if "deletionTimestamp" in body["metadata"]:
                    # It cannot be followed to its end. What MLflow has to be told, its pods say themselves.
                    await self._leave_earlier_runs(key, None)
                await self._refuse(key, body, error)
                return None
            decision = decide(run, await self._observe(key, run, hindrance), datetime.now(UTC), self._paced_rules())
            if decision.status is None and not decision.actions:
                if run.finished:
                    self._resolver.forget(key)
                    if not unrecorded(run):
                        self._tracker.forget(key)
                return decision.again_after
            if decision.status is not None:
                await self._write(key, body, run.status, decision.status)
            for action in decision.actions:
                hindrance = await self._act(key, run, action)
        logger.warning("%s/%s: more than %d steps in one go", *key, _PASSES)
        return _PAUSE

    async def _leave_earlier_runs(self, key: Key, body: Object | None) -> None:
        """Let go of pods whose ProjectRun is gone, once MLflow knows: their own annotation says what to tell it."""
        for pod in list(self._pods.owned_by(key)):
            if not held(pod) or (body is not None and not _of_earlier_run(pod, body)):
                continue
            uid = pod["metadata"]["uid"]
            if left(pod):
                self._tracker.abandon(key, pod, datetime.now(UTC))
            if self._tracker.released(uid):
                await self._release(pod)

    def _leave_earlier_records(self, key: Key, body: Object | None) -> None:
        """End in MLflow what a ProjectRun that is gone has left there; another may have its name already."""
        uid = None if body is None else body["metadata"]["uid"]
        if uid is not None and self._seen.get(key, uid) == uid:
            self._seen[key] = uid
            return
        told = {told_by(pod).get("runId", "") for pod in self._pods.owned_by(key) if held(pod)}
        self._tracker.leave(key, datetime.now(UTC), present=uid, told_by_pods=told)
        if uid is None:
            self._seen.pop(key, None)
        else:
            self._seen[key] = uid

    def _count(self, key: Key, body: Object | None) -> None:
        if body is not None and (body.get("status") or {}).get("phase") in _STARTING:
            self._starting.add(key)
        else:
            self._starting.discard(key)

    def _paced_rules(self) -> Rules:
        """The rules; the more runs start at once, the longer one may take before that is worth a write.

        In a burst everybody waits for everybody, and a write a run to say so would make all of them wait longer.
        """
        crowd = max(1.0, len(self._starting) / _FEW)
        return replace(self._rules, progress_delay=self._rules.progress_delay * crowd)

    async def _observe(self, key: Key, run: ProjectRun, hindrance: Hindrance) -> Observed:
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
        )

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
        return job if job is not None and _owned_by(job, run) else None

    async def _fetch_job(self, key: Key, run: ProjectRun) -> Object | None:
        try:
            job = await self._cluster.get(JOBS, *key)
        except ApiError as error:
            if error.not_found:
                return None
            raise
        if not _owned_by(job, run):
            return None
        self._jobs.put(job)
        return job

    async def _act(self, key: Key, run: ProjectRun, action: Action) -> Hindrance:
        """Do one thing, and take what came of it into the caches, so that the next decision knows."""
        namespace, name = key
        match action:
            case Resolve():
                self._resolver.start(key, run, datetime.now(UTC))
            case CreateJob(body=body):
                return await self._create(key, run, body)
            case DeleteJob(job=job):
                await self._delete(JOBS, self._jobs, job, propagation="Foreground")
            case DeletePods(pods=pods) | ReleasePods(pods=pods):
                for pod in pods:
                    if isinstance(action, ReleasePods):
                        await self._release(pod)
                    else:
                        await self._delete(PODS, self._pods, pod, grace_seconds=1)
            case SuspendJob() | Requeue():
                self._jobs.put(await self._cluster.patch(JOBS, namespace, name, self._steering(key, action)))
            case BeginTracking() | WriteTracking():
                self._track(key, run, action)
            case DeleteRun():
                # Another may have got the name while the actions before this one were done.
                if (stored := self._runs.get(key)) is not None and stored["metadata"]["uid"] == run.uid:
                    await self._delete(RUNS, self._runs, stored, propagation="Background")
        return None

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

    async def _release(self, pod: Object) -> None:
        """Take our finalizer off a pod."""
        metadata = pod["metadata"]
        kept = [each for each in metadata.get("finalizers") or () if each != names.TRACKING_FINALIZER]
        # Of the very list that was read: the Job controller takes its own finalizer off at the same time.
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": kept or None}}
        try:
            stored = await self._cluster.patch(PODS, metadata["namespace"], metadata["name"], patch)
        except ApiError as error:
            if not error.not_found:
                raise
            self._pods.discard(pod)
            return
        if "deletionTimestamp" in stored["metadata"] and not kept:
            self._pods.discard(stored)  # that was all that kept it
        else:
            self._pods.put(stored)

    async def _create(self, key: Key, run: ProjectRun, body: Object) -> Hindrance:
        try:
            job = await self._cluster.create(JOBS, key[0], body)
        except ApiError as error:
            if error.already_exists:
                # Perhaps it was made by us and the answer was lost, or by the process before this one.
                job = await self._cluster.get(JOBS, *key)
                if not _owned_by(job, run):
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

    async def _write(self, key: Key, body: Object, before: ProjectRunStatus, after: ProjectRunStatus) -> None:
        # From what we read, not from what is stored: a newer operator's fields are left alone.
        patch = status_of.merge_patch(before.to_dict(), after.to_dict())
        if not patch:
            return
        # Of the very object that was read: another run may have got its name since, and must not get its end.
        version = {"resourceVersion": body["metadata"]["resourceVersion"]}
        try:
            stored = await self._cluster.patch(RUNS, *key, {"metadata": version, "status": patch}, subresource="status")
        except ApiError as error:
            if error.not_found:
                self._runs.discard(body)
                return
            raise
        self._runs.put(stored)
        for event in events_between(before, after):
            self._recorder.record(stored, event)

    async def _refuse(self, key: Key, body: Object, error: UsageError) -> None:
        """A stored object that our models refuse: written past the schema, or under an older one."""
        if body["spec"].get("managedBy") not in (None, names.MANAGED_BY) or "deletionTimestamp" in body["metadata"]:
            return
        try:
            stored = ProjectRunStatus.model_validate(body.get("status") or {})
        except ValidationError:
            stored = ProjectRunStatus()
        outcome = stored.condition(ConditionType.SUCCEEDED)
        if outcome is not None and outcome.status != "Unknown":
            return
        situation = Situation(Phase.FAILED, error.reason, str(error))
        generation = body["metadata"].get("generation", 0)
        wanted = status_of.before_job(stored, situation, generation=generation, now=datetime.now(UTC))
        await self._write(key, body, stored, wanted)


_JOB_ADOPTED: Final = Event("Normal", EventReason.JOB_ADOPTED, "Took up a Job that was there already")


def _of_earlier_run(pod: Object, body: Object) -> bool:
    """Whether a pod was there before this ProjectRun.

    The clocks of API servers differ, and tell seconds: what the pod says itself counts more.
    """
    uid = told_by(pod).get("projectRun")
    if uid is not None:
        return uid != str(body["metadata"]["uid"])
    return bool(pod["metadata"]["creationTimestamp"] < body["metadata"]["creationTimestamp"])


def _owned_by(obj: Object, run: ProjectRun) -> bool:
    return any(owner["uid"] == run.uid for owner in obj["metadata"].get("ownerReferences") or ())


def _of_run(pod: Object, run: ProjectRun, job: Object | None) -> bool:
    """Whether a pod with the run's label is of a Job of this very run, not of an earlier one with its name."""
    owners = {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()}
    known = {job["metadata"]["uid"]} if job is not None else set()
    if run.status.kubernetes is not None and run.status.kubernetes.job_uid:
        known.add(run.status.kubernetes.job_uid)
    return bool(owners & known)
