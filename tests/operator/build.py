"""Runs, Jobs and pods as an API server would show them, and a small world in which decisions come true.

A Job is made by the operator's own manifest, so what the tests read is what the operator writes. `World` does what the
controller does (write the status, create the Job) to plain objects, and brings every status through JSON, as the API
server would: a status that is not equal to itself afterwards is found out.
"""

from __future__ import annotations

import itertools
import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mlp.resources import ConditionType, ProjectRun, names
from mlp.resources.plan import Plan, PlannedParameter, PlannedProject, PlannedSource
from mlp_operator.runs.actions import (
    BeginTracking,
    CreateJob,
    Decision,
    DeleteJob,
    DeletePods,
    DeleteRun,
    Observed,
    ReleasePods,
    Requeue,
    Resolve,
    Rules,
    SuspendJob,
    WriteTracking,
)
from mlp_operator.runs.decide import decide
from mlp_operator.runs.job import PodDefaults, manifest
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.planning import Resolved
from mlp_operator.runs.recording import TrackedRun, Untracked
from mlp_operator.runs.situation import read_job
from mlp_operator.runs.status import merge_patch
from mlp_operator.runs.transitions import events_between
from tests.servers.api_server import merged

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RULES = Rules(PodDefaults("registry.example.org/mlp-runner:1"), progress_delay=15.0)
FINALIZER = "batch.kubernetes.io/job-tracking"

_versions = itertools.count(1000)


def at(seconds: float) -> datetime:
    """A moment, in seconds after the one at which tests begin."""
    return NOW + timedelta(seconds=seconds)


def stamp(seconds: float = 0) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- runs -----------------------------------------------------------------------------------------------------------


def run_body(*, status: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, **spec: Any) -> dict:
    """A ProjectRun as the API server has it, created ten seconds before the tests begin."""
    return {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {
            "name": "wine",
            "namespace": "team-a",
            "uid": "run-uid",
            "generation": 1,
            "resourceVersion": "900",
            "creationTimestamp": stamp(-10),
            **(metadata or {}),
        },
        "spec": {"project": {"uri": "https://git.example.org/wine"}, **spec},
        "status": {"observedGeneration": -1} if status is None else status,
    }


def project_run(**parts: Any) -> ProjectRun:
    return ProjectRun.parse(run_body(**parts))


def plan(*, command: str = "python train.py --alpha 0.5", credentials: bool = False, **project: Any) -> Plan:
    return Plan(
        source=PlannedSource(
            uri="https://git.example.org/wine",
            commit=COMMIT,
            ref="refs/heads/main",
            version="main",
            credentials=credentials,
            subdirectory=project.pop("subdirectory", ""),
        ),
        project=PlannedProject(
            **{
                "name": "wine",
                "entry_point": "main",
                "command": command,
                "parameters": (PlannedParameter(name="alpha", type="float", value="0.5", source="Spec"),),
                **project,
            }
        ),
    )


def resolved(**parts: Any) -> Resolved:
    return Resolved(plan(**parts))


# --- Jobs -----------------------------------------------------------------------------------------------------------


def job(
    run: ProjectRun | None = None,
    *,
    uid: str = "job-uid",
    attempts_before: int = 0,
    suspended: bool = False,
    deleting: bool = False,
    failed: int = 0,
    condition: tuple[str, str] | tuple[str, str, str] | None = None,
    created: float = 0,
    started: float | None = None,
) -> dict[str, Any]:
    """The Job of a run, as its controller has left it.

    Args:
        condition: Type, reason and message of the one condition that is True.
    """
    run = project_run() if run is None else run
    body = manifest(
        run,
        resolved(),
        image="image",
        defaults=RULES.defaults,
        tracking=None,
        tracked=None,
        attempts_before=attempts_before,
    )
    return stored(body, uid=uid, created=created, suspended=suspended) | (
        {"status": _job_status(failed, condition, started)}
        | ({} if not deleting else {"metadata": stored(body, uid=uid, created=created)["metadata"] | _deletion(30)})
    )


def stored(body: dict[str, Any], *, uid: str = "job-uid", created: float = 0, suspended: bool = False) -> dict:
    """A manifest after the API server has taken it in."""
    body = json.loads(json.dumps(body))
    body["metadata"] |= {"uid": uid, "resourceVersion": str(next(_versions)), "creationTimestamp": stamp(created)}
    body["spec"]["suspend"] = suspended
    body["status"] = {}
    return body


def _job_status(failed: int, condition: tuple[str, ...] | None, started: float | None) -> dict[str, Any]:
    status: dict[str, Any] = {"failed": failed} if failed else {}
    if started is not None:
        status["startTime"] = stamp(started)
    if condition is not None:
        kind, reason, message = (*condition, "told by the Job controller")[:3]
        status["conditions"] = [
            # Real Jobs keep conditions that are over.
            {"type": "Suspended", "status": "False", "reason": "JobResumed", "message": "Job resumed"},
            {"type": kind, "status": "True", "reason": reason, "message": message},
        ]
    return status


def _deletion(grace: int) -> dict[str, Any]:
    return {"deletionTimestamp": stamp(), "deletionGracePeriodSeconds": grace}


# --- pods -----------------------------------------------------------------------------------------------------------


def waiting(reason: str = "PodInitializing", message: str | None = None) -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({} if message is None else {"message": message})}}


def running(since: float = 0) -> dict[str, Any]:
    return {"running": {"startedAt": stamp(since)}}


def ended(
    code: int = 0, message: str | None = None, *, reason: str | None = None, since: float = 0, until: float = 1
) -> dict[str, Any]:
    """A container that has ended, its termination message included."""
    state = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": stamp(since),
        "finishedAt": stamp(until),
    }
    return {"terminated": state | ({} if message is None else {"message": message})}


def report(reason: str = "Completed", message: str = "", *steps: tuple[str, float, float]) -> str:
    """What our own init container writes at its end."""
    told = [{"name": name, "startTime": stamp(start), "completionTime": stamp(end)} for name, start, end in steps]
    return json.dumps({"reason": reason, "message": message, "steps": told})


FETCHED = ended(0, report("Completed", "Fetched", ("clone", 0, 1)))


def pod(
    phase: str = "Pending",
    *,
    of: str = "job-uid",
    number: int = 1,
    init: dict[str, Any] | None = None,
    main: dict[str, Any] | None = None,
    sidecar: dict[str, Any] | None = None,
    conditions: dict[str, str | tuple[str, str, str]] | None = None,
    reason: str | None = None,
    message: str | None = None,
    deleting: int | None = None,
    withdrawn: bool = False,
    held: bool = False,
) -> dict[str, Any]:
    """A pod of a run's Job.

    Args:
        of: The uid of the Job that owns it.
        number: Which one: in its name and in the order of creation.
        init: State of the container that prepares.
        main: State of main.
        sidecar: State of an injected native sidecar, which is an init container too.
        conditions: By type: a status, or a status with reason and message.
        deleting: The grace period in seconds, if it is being deleted.
        withdrawn: The Job controller has let go of it.
        held: It waits for its MLflow run to be written.
    """
    status: dict[str, Any] = {"phase": phase}
    if init is not None:
        status["initContainerStatuses"] = [_container("prepare", init, "registry.example.org/mlp-runner:1")]
    if sidecar is not None:
        status.setdefault("initContainerStatuses", []).insert(0, _container("istio-proxy", sidecar, "istio"))
    if main is not None or init is not None:
        status["containerStatuses"] = [_container("main", main or waiting(), "image")]
    if conditions:
        status["conditions"] = [
            {"type": kind, **dict(zip(("status", "reason", "message"), _parts(said), strict=False))}
            for kind, said in conditions.items()
        ]
    status |= {key: value for key, value in {"reason": reason, "message": message}.items() if value is not None}
    return {
        "metadata": {
            "name": f"wine-{number}",
            "namespace": "team-a",
            "uid": f"pod-uid-{of}-{number}",
            "resourceVersion": str(next(_versions)),
            "creationTimestamp": stamp(number),
            "labels": {names.RUN_LABEL: "wine"},
            "finalizers": [*([] if withdrawn else [FINALIZER]), *([names.TRACKING_FINALIZER] if held else [])],
            "ownerReferences": [{"kind": "Job", "uid": of, "name": "wine", "controller": True}],
            **({} if deleting is None else _deletion(deleting)),
        },
        "spec": {"nodeName": "node-1"},
        "status": status,
    }


def _parts(said: str | tuple[str, str, str]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else said


def _container(name: str, state: dict[str, Any], image: str) -> dict[str, Any]:
    return {"name": name, "image": image, "state": state}


def succeeded(number: int = 1, **parts: Any) -> dict[str, Any]:
    return pod("Succeeded", number=number, init=FETCHED, main=ended(0, since=2, until=5), **parts)


def failed(code: int = 3, log: str | None = None, *, number: int = 1, why: str | None = None, **parts: Any) -> dict:
    """A pod whose command has failed."""
    return pod("Failed", number=number, init=FETCHED, main=ended(code, log, reason=why, since=2, until=5), **parts)


def working(number: int = 1, **parts: Any) -> dict[str, Any]:
    """A pod whose command runs."""
    return pod("Running", number=number, init=FETCHED, main=running(2), **parts)


DISRUPTED = {"DisruptionTarget": ("True", "PreemptionByScheduler", "preempted")}


# --- a world --------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A run with what is around it; `settle` lets decisions come true until none is left."""

    body: dict[str, Any]
    job: dict[str, Any] | None = None
    pods: list[dict[str, Any]] = field(default_factory=list)
    outcome: Any = None
    """What the look-up says once it is asked."""
    asked: bool = False
    hindrance: dict[str, Any] = field(default_factory=dict)
    """What meets a Job that is created: `refusal` or `foreign_job`, as of Observed."""
    now: datetime = NOW
    statuses: list[dict[str, Any]] = field(default_factory=list)
    """Every status that was written."""
    acted: list[Any] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    jobs_made: int = 0
    tracking: str = "up"
    """How the tracking server is: up, slow, down or denying."""
    recording: Any = None
    """What is known about the run in MLflow."""
    told: list[str] = field(default_factory=list)
    """The states that MLflow was told, in order."""
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, *, outcome: Any = None, status: dict[str, Any] | None = None, **spec: Any) -> World:
        return cls(run_body(status=status, **spec), outcome=outcome if outcome is not None else resolved())

    @property
    def run(self) -> ProjectRun:
        return ProjectRun.parse(self.body)

    @property
    def phase(self) -> str | None:
        return self.run.status.phase

    @property
    def reason(self) -> str | None:
        found = self.run.status.condition(ConditionType.SUCCEEDED)
        return None if found is None else found.reason

    @property
    def message(self) -> str:
        found = self.run.status.condition(ConditionType.SUCCEEDED)
        return "" if found is None else found.message

    @property
    def actions(self) -> list[str]:
        return [type(action).__name__ for action in self.acted]

    def conditions(self) -> dict[str, str]:
        return {each.type: each.status for each in self.run.status.conditions or ()}

    def restart(self) -> None:
        """Another process takes over: it knows what is in the cluster, and nothing else."""
        self.asked = False
        self.recording = None

    def change(self, **spec: Any) -> None:
        """The user changes the spec."""
        self.body["spec"] |= spec
        self.body["metadata"]["generation"] += 1

    def observe(self, **hindrance: Any) -> Observed:
        return Observed(
            job=self.job,
            pods=tuple(self.pods),
            outcome=self.outcome if self.asked else None,
            recording=self.recording,
            **hindrance,
        )

    def decide(self, **hindrance: Any) -> Decision:
        return decide(self.run, self.observe(**hindrance), self.now, RULES)

    def settle(self, *, job: Any = ..., pods: Any = ..., after: float | None = None) -> Decision:
        """Change what is there, then decide and act until nothing is left to do."""
        if job is not ...:
            self.job = job
        if pods is not ...:
            self.pods = list(pods)
        if after is not None:
            self.now += timedelta(seconds=after)
        hindrance: dict[str, Any] = {}
        for _ in range(8):
            decision = self.decide(**hindrance)
            if decision.status is None and not decision.actions:
                return decision
            if decision.status is not None:
                self._write(decision.status)
            for action in decision.actions:
                hindrance = self._act(action)
        raise AssertionError(f"no end of {decision}")

    def _write(self, status: Any) -> None:
        before = self.run.status
        patch = json.loads(json.dumps(merge_patch(self.body.get("status") or {}, status.to_dict())))
        assert patch, "a status was written that says nothing new"
        self.body["status"] = merged(self.body.get("status") or {}, patch)
        self.statuses.append(deepcopy(self.body["status"]))
        self.events += [event.reason for event in events_between(before, self.run.status)]

    def _act(self, action: Any) -> dict[str, Any]:  # noqa: C901, PLR0912 -- one case an action
        self.acted.append(action)
        match action:
            case Resolve():
                self.asked = True
                if self.outcome is None:
                    self.outcome = Working(self.now)
            case CreateJob(body=body):
                if self.hindrance:
                    return self.hindrance
                self.jobs_made += 1
                uid = "job-uid" if self.jobs_made == 1 else f"job-uid-{self.jobs_made}"
                self.job = stored(body, uid=uid, suspended=body["spec"].get("suspend", False))
            case DeleteJob():
                assert self.job is not None
                self.job["metadata"] |= _deletion(0)
            case DeletePods(pods=pods):
                for each in pods:
                    each["metadata"] |= _deletion(1)
            case SuspendJob(suspend=suspend):
                assert self.job is not None
                self.job["spec"]["suspend"] = suspend
            case Requeue(queue=queue):
                assert self.job is not None
                self.job["metadata"]["labels"][names.QUEUE_LABEL] = queue
            case BeginTracking(server=server):
                self._tell(TrackedRun(server.uri, "7", "run-7", "SCHEDULED"), None)
            case WriteTracking(run=tracked, wanted=wanted):
                self.tags |= wanted.tags
                self._tell(replace(tracked, state=wanted.state), tracked)
            case ReleasePods(pods=pods):
                for each in pods:
                    each["metadata"]["finalizers"].remove(names.TRACKING_FINALIZER)
                self.pods = [
                    each
                    for each in self.pods
                    if each["metadata"]["finalizers"] or "deletionTimestamp" not in each["metadata"]
                ]
            case DeleteRun():
                self.body["metadata"]["deletionTimestamp"] = stamp()
        return {}

    def _tell(self, after: TrackedRun, before: TrackedRun | None) -> None:
        match self.tracking:
            case "up":
                self.told.append(after.state)
                self.recording = after
            case "slow":
                self.recording = Working(self.now)
            case "down":
                later = self.now + timedelta(seconds=30)
                self.recording = Untracked(
                    "TrackingUnavailable", "nobody answers", final=False, retry_at=later, run=before
                )
            case "denying":
                self.recording = Untracked(
                    "TrackingDenied", "wrong password", final=True, retry_at=self.now, run=before
                )


def reading(*pods: dict[str, Any], backoff_limit: int = 0, planned: tuple[str, ...] = ("clone",), **of_job: Any) -> Any:
    """What a Job and its pods say."""
    return read_job(job(**of_job), pods, backoff_limit=backoff_limit, planned=planned)
