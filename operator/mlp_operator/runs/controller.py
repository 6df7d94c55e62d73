"""The edge of a run: observe, decide, act, until nothing is left to do; and the status, which is written here alone.

All thinking is in `decide`. What is there is found in observing.py, what happens to the cluster is done in acting.py.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from mlp.errors import UsageError
from mlp.resources import ConditionType, Phase, ProjectRun, ProjectRunStatus, names
from mlp_operator.machinery.cluster import ApiError
from mlp_operator.runs import status as status_of
from mlp_operator.runs.acting import RUNS, Actor
from mlp_operator.runs.actions import LetRunGo
from mlp_operator.runs.decide import decide
from mlp_operator.runs.following import unrecorded
from mlp_operator.runs.observing import Observer
from mlp_operator.runs.pods import held, left
from mlp_operator.runs.recording import told_by
from mlp_operator.runs.remote_ending import of_unreadable
from mlp_operator.runs.situation import Situation
from mlp_operator.runs.transitions import events_between

if TYPE_CHECKING:
    from mlp_operator.machinery.cache import Key, Object, Store
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.events import EventRecorder
    from mlp_operator.runs.acting import Hindrance
    from mlp_operator.runs.actions import Rules
    from mlp_operator.runs.delegate import Delegate
    from mlp_operator.runs.resolution import Resolver
    from mlp_operator.runs.tracking import Tracker

__all__ = ["RUNS", "RunController"]

_PASSES: Final = 10
"""More decisions than this in one go would be a circle."""

_PAUSE: Final = 5.0
_FEW: Final = 10
_STARTING: Final = (Phase.PENDING, Phase.RESOLVING, Phase.PREPARING)

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
        delegate: Talks to Databricks.
        recorder: Posts events.
        rules: The operator's settings, as decisions need them.
    """

    def __init__(  # noqa: PLR0913 -- its parts, put together once
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
        rules: Rules,
    ) -> None:
        self._runs = runs
        self._pods = pods
        self._cluster = cluster
        self._resolver = resolver
        self._tracker = tracker
        self._delegate = delegate
        self._recorder = recorder
        self._rules = rules
        self._observer = Observer(
            jobs=jobs,
            pods=pods,
            cluster=cluster,
            resolver=resolver,
            tracker=tracker,
            delegate=delegate,
            rules=rules,
        )
        self._actor = Actor(
            runs=runs,
            jobs=jobs,
            pods=pods,
            cluster=cluster,
            resolver=resolver,
            tracker=tracker,
            delegate=delegate,
            recorder=recorder,
        )
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
                self._delegate.forget(key)
                return None
            try:
                run = ProjectRun.parse(body)
            except UsageError as error:
                if "deletionTimestamp" in body["metadata"]:
                    # It cannot be followed to its end. What MLflow has to be told, its pods say themselves.
                    await self._leave_earlier_runs(key, None)
                    return await self._let_unreadable_go(body)
                await self._refuse(key, body, error)
                return None
            observed = await self._observer.observe(key, run, hindrance)
            decision = decide(run, observed, datetime.now(UTC), self._paced_rules())
            if decision.status is None and not decision.actions:
                if run.finished:
                    self._resolver.forget(key)
                    if not run.being_deleted:
                        self._delegate.forget(key)
                    if not unrecorded(run):
                        self._tracker.forget(key)
                return decision.again_after
            if decision.status is not None:
                await self._write(key, body, run.status, decision.status)
            for action in decision.actions:
                hindrance = await self._actor.act(key, run, action)
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
                await self._actor.release(pod)

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
        if (token := _new_token(before, after)) is not None:
            self._delegate.announce(token)
        for event in events_between(before, after):
            self._recorder.record(stored, event)

    async def _let_unreadable_go(self, body: Object) -> float | None:
        if body["spec"].get("managedBy") not in (None, names.MANAGED_BY):
            return None
        decision = of_unreadable(body, datetime.now(UTC), self._rules)
        for action in decision.actions:
            if isinstance(action, LetRunGo):
                await self._actor.let_go(body, action.abandoned)
        return decision.again_after

    async def _refuse(self, key: Key, body: Object, error: UsageError) -> None:
        """A stored object that our models refuse: written past the schema, or under an older one."""
        if body["spec"].get("managedBy") not in (None, names.MANAGED_BY):
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


def _of_earlier_run(pod: Object, body: Object) -> bool:
    """Whether a pod was there before this ProjectRun.

    The clocks of API servers differ, and tell seconds: what the pod says itself counts more.
    """
    uid = told_by(pod).get("projectRun")
    if uid is not None:
        return uid != str(body["metadata"]["uid"])
    return bool(pod["metadata"]["creationTimestamp"] < body["metadata"]["creationTimestamp"])


def _new_token(before: ProjectRunStatus, after: ProjectRunStatus) -> str | None:
    """The token of a submission to Databricks that a status names and the one before it did not."""
    token = after.databricks.token if after.databricks is not None else None
    known = before.databricks.token if before.databricks is not None else None
    return token if token != known else None
