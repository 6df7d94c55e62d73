"""What one pod of a run says: how far it is, how it ended, and in which words people should hear it. Pure.

What a container says about its end is taken from its termination message: our own steps write one JSON object there,
for main it is the end of the log. Whether a failure is the end of the run is not known here: see situation.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names
from mlp.resources.conditions import Phase, Reason
from mlp_operator.runs.job import USER_ERROR_CODES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Failure",
    "Situation",
    "Step",
    "before_start",
    "completion",
    "disrupted",
    "exit_code",
    "failure_of",
    "has_started",
    "held",
    "init_started",
    "left",
    "main_started",
    "steps_of",
    "told_to_end",
    "withdrawn",
]

Object = dict[str, Any]

_LONGEST_LOG: Final = 3500  # of a message's 4 KB; the rest says what happened
_CANNOT_PULL: Final = {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_CANNOT_START: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_TRACKING_FINALIZER: Final = "batch.kubernetes.io/job-tracking"
_STEPS: Final = ("clone", "data", "environment")
_REASON: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,127}")
_YEARS: Final = range(1970, 9999)
"""In which a moment is one in every zone, and has four digits."""
_DOING: Final = {
    ("clone",): "The project is being fetched.",
    ("clone", "data"): "The project and its data are being fetched.",
    ("clone", "environment"): "The project is being fetched and its environment built.",
    ("clone", "data", "environment"): "The project and its data are being fetched and its environment built.",
    ("environment",): "The environment is being built, or looked for in the cache.",
}
_SIGNALS: Final = {130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


@dataclass(frozen=True, slots=True)
class Situation:
    """One row of the state table.

    Attributes:
        phase: The word for people.
        reason: The word for conditions: a Reason, or kubelet's or a step's own.
        message: What happened and, where something has to be done about it, what.
        minor: A stage of a start that goes well. Not worth a write of its own.
    """

    phase: Phase
    reason: str
    message: str
    minor: bool = False

    @property
    def finished(self) -> bool:
        """Nothing more will happen."""
        return self.phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pod, as far as it is known."""

    name: str
    state: str
    reason: str | None = None
    started: datetime | None = None
    finished: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """How a pod failed."""

    reason: str
    message: str
    exit_code: int | None = None
    repeats: bool = False
    """Another attempt would end the same way: a mistake of the user."""


def withdrawn(pod: Object) -> bool:
    """Whether the Job controller took the pod back, as it does when a Job is suspended.

    It lets go of such a pod before it deletes it, and does not count how the pod ends; a pod that somebody else
    deletes it keeps until it has counted it.
    """
    metadata = pod["metadata"]
    return "deletionTimestamp" in metadata and _TRACKING_FINALIZER not in (metadata.get("finalizers") or ())


def held(pod: Object) -> bool:
    """Whether the pod waits for its MLflow run to be written."""
    return names.TRACKING_FINALIZER in (pod["metadata"].get("finalizers") or ())


def left(pod: Object) -> bool:
    """Whether all containers of the pod are gone for good, whatever keeps the object.

    A deleted pod that no kubelet has ever seen keeps the phase Pending; kubelet brings the grace period of one that it
    has ended to 0.
    """
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        return True
    metadata = pod["metadata"]
    never_placed = not (pod.get("spec") or {}).get("nodeName")
    return "deletionTimestamp" in metadata and (never_placed or metadata.get("deletionGracePeriodSeconds") == 0)


def has_started(pod: Object) -> bool:
    """Whether the command was started in this pod."""
    state = (_container(pod, names.MAIN_CONTAINER) or {}).get("state") or {}
    return "running" in state or "terminated" in state


def disrupted(pod: Object) -> bool:
    """Whether the cluster, not the command, ended the pod (a drain, preemption, a lost node)."""
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "DisruptionTarget" and each["status"] == "True" for each in conditions)


def failure_of(pod: Object) -> Failure:
    """Why a failed pod failed."""
    status = pod["status"]
    match status.get("reason"):
        case "Evicted":
            return Failure(Reason.EVICTED, f"The node evicted the pod: {status.get('message') or 'no reason given'}")
        case "NodeLost" | "NodeShutdown" | "Terminated":
            return Failure(Reason.NODE_LOST, f"The node went away under the pod: {status.get('message') or ''}")
    # Main first: an injected sidecar is an init container too, and ends after main, with any code.
    ended = _terminated(_container(pod, names.MAIN_CONTAINER))
    if ended is not None:
        return _main_failure(ended)
    for container in status.get("initContainerStatuses") or ():
        ended = _terminated(container)
        if ended is not None and ended["exitCode"] != 0:
            return _init_failure(container["name"], ended)
    return Failure(Reason.NODE_LOST, status.get("message") or "The pod failed before its containers were started.")


def _init_failure(name: str, ended: Mapping[str, Any]) -> Failure:
    code = ended["exitCode"]
    if ended.get("reason") == "OOMKilled":
        return Failure(Reason.OOM_KILLED, f"The container {name} ran out of memory while it prepared the run.")
    said = _report(ended)
    reason = said.get("reason") or Reason.PREPARATION_FAILED
    text = said.get("message") or f"The container {name} ended with exit code {code}. {_tail(ended.get('message'))}"
    return Failure(reason, text.strip(), repeats=code in USER_ERROR_CODES)


def _main_failure(ended: Mapping[str, Any]) -> Failure:
    code = ended["exitCode"]
    log = _tail(ended.get("message"))
    lines = f"\nThe end of its log:\n{log}" if log else ""
    match ended.get("reason"):
        case "OOMKilled":
            text = (
                "The command needed more memory than its limit and was killed. Raise "
                f"spec.backend.kubernetes.resources.limits.memory in a new ProjectRun.{lines}"
            )
            return Failure(Reason.OOM_KILLED, text, code)
        case "StartError" | "ContainerCannotRun":
            text = f"The command could not be started in the image (it needs bash): {log or 'no reason given'}"
            return Failure(Reason.ENTRY_POINT_FAILED, text, code)
        case "ContainerStatusUnknown":
            return Failure(Reason.NODE_LOST, "The node lost the pod: nobody knows how the command ended.", code)
    signal = f" ({_SIGNALS[code]})" if code in _SIGNALS else ""
    return Failure(Reason.ENTRY_POINT_FAILED, f"The command ended with exit code {code}{signal}.{lines}", code)


def _report(ended: Mapping[str, Any]) -> dict[str, Any]:
    """What a container of ours says at its end; only what has the form that we gave it.

    Kubelet puts the end of the log there when a container wrote nothing, so it may be anybody's text.
    """
    try:
        said = json.loads(ended.get("message") or "")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    reason, message, steps = said.get("reason"), said.get("message"), said.get("steps")
    return {
        "reason": reason if isinstance(reason, str) and _REASON.fullmatch(reason) else None,
        "message": message if isinstance(message, str) else None,
        "steps": [each for each in steps if _is_step(each)] if isinstance(steps, list) else [],
    }


def _is_step(said: object) -> bool:
    if not isinstance(said, dict):
        return False
    try:
        times = [_moment(said.get("startTime")), _moment(said.get("completionTime"))]
    except (TypeError, ValueError):
        return False
    if said.get("state") not in (None, "Succeeded", "Failed"):
        return False
    return said.get("name") in _STEPS and all(
        time is None or (time.tzinfo is not None and time.year in _YEARS) for time in times
    )


def _tail(text: str | None) -> str:
    """The end of a text that a message has room for, from the beginning of a line where possible."""
    text = (text or "").rstrip()
    if len(text.encode()) <= _LONGEST_LOG:
        return text
    cut = text.encode()[-_LONGEST_LOG:].decode(errors="ignore")
    return cut.partition("\n")[2] or cut


def before_start(pod: Object, planned: Sequence[str]) -> Situation:
    """What keeps a pod whose phase is Pending.

    Args:
        pod: The pod.
        planned: The steps that it goes through before main.
    """
    for condition in pod["status"].get("conditions") or ():
        if (
            condition["type"] == "PodScheduled"
            and condition["status"] == "False"
            and condition.get("reason") == "Unschedulable"
        ):
            message = condition.get("message") or "The scheduler gives no reason."
            reason = Reason.VOLUME_PENDING if "persistentvolumeclaim" in message.lower() else Reason.UNSCHEDULABLE
            return Situation(Phase.PREPARING, reason, f"No node takes the pod: {message}")
    init = pod["status"].get("initContainerStatuses") or []
    for container in [*init, *(pod["status"].get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        why, detail = waiting.get("reason") or "", waiting.get("message") or ""
        if why in _CANNOT_PULL:
            text = f"The image {container['image']} cannot be pulled: {detail or why}"
            return Situation(Phase.PREPARING, Reason.IMAGE_PULL_BACK_OFF, text)
        if why in _CANNOT_START:
            return Situation(Phase.PREPARING, why, f"The container {container['name']} cannot be created: {detail}")
        if (container.get("state") or {}).get("running") and container["name"] in names.INIT_CONTAINERS:
            steps = _steps_in(container["name"], planned)
            reason = Reason.BUILDING_ENVIRONMENT if "environment" in steps else Reason.FETCHING
            return Situation(Phase.PREPARING, reason, _DOING[steps], minor=True)
    return Situation(Phase.PREPARING, Reason.SUBMITTED, "The pod is being started.", minor=True)


def _steps_in(container: str, planned: Sequence[str]) -> tuple[str, ...]:
    """The steps that a container of ours goes through."""
    match container:
        case names.FETCH_CONTAINER:
            return tuple(step for step in planned if step != "environment")
        case names.ENVIRONMENT_CONTAINER:
            return ("environment",)
    return tuple(planned)


def _container(pod: Object, name: str) -> Object | None:
    every = (pod["status"].get("initContainerStatuses") or []) + (pod["status"].get("containerStatuses") or [])
    return next((each for each in every if each["name"] == name), None)


def _terminated(container: Object | None) -> Object | None:
    ended: Object | None = ((container or {}).get("state") or {}).get("terminated")
    return ended


def exit_code(pod: Object) -> int | None:
    """The exit code of main, once it has ended."""
    ended = _terminated(_container(pod, names.MAIN_CONTAINER))
    return None if ended is None else int(ended["exitCode"])


def init_started(pod: Object) -> datetime | None:
    """When the init container that runs now was started."""
    for name in names.INIT_CONTAINERS:
        running = ((_container(pod, name) or {}).get("state") or {}).get("running")
        if running:
            return _moment(running.get("startedAt"))
    return None


def main_started(pod: Object) -> datetime | None:
    """When the command was started."""
    state = (_container(pod, names.MAIN_CONTAINER) or {}).get("state") or {}
    return _moment((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def told_to_end(pod: Mapping[str, Any]) -> datetime | None:
    """When somebody asked for the pod's deletion, and kubelet told the command."""
    metadata = pod["metadata"]
    deadline = _moment(metadata.get("deletionTimestamp"))
    return None if deadline is None else deadline - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)


def completion(pod: Mapping[str, Any]) -> datetime | None:
    """When the last container ended."""
    ends = [
        _moment(ended.get("finishedAt"))
        for container in (pod["status"].get("initContainerStatuses") or [])
        + (pod["status"].get("containerStatuses") or [])
        if (ended := _terminated(container)) is not None
    ]
    return max((end for end in ends if end is not None), default=None)


def steps_of(pod: Object, planned: Sequence[str]) -> tuple[Step, ...]:
    """The steps of the init containers, as these report them at their ends, and main.

    Args:
        pod: The pod.
        planned: The steps that it goes through before main.
    """
    steps: list[Step] = []
    for name in names.INIT_CONTAINERS:
        container = _container(pod, name)
        if container is None:
            continue
        ended = _terminated(container)
        reported = {each["name"]: each for each in _report(ended).get("steps") or ()} if ended else {}
        for step in _steps_in(name, planned):
            whole = _step(step, container)
            if ended and step in reported:
                steps.append(_reported(reported[step], ended, whole, last=step == [*reported][-1]))
            elif ended and reported:
                steps.append(Step(step, "Skipped"))
            else:
                steps.append(whole)
    main = _container(pod, names.MAIN_CONTAINER)
    if main is not None:
        steps.append(_step(names.MAIN_CONTAINER, main))
    return tuple(steps)


def _reported(said: Mapping[str, Any], ended: Mapping[str, Any], whole: Step, *, last: bool) -> Step:
    """A step as its container reports it. Of several, those failed that say so; else the last one."""
    failed = ended["exitCode"] != 0 and (said["state"] == "Failed" if "state" in said else last)
    times = _moment(said.get("startTime")), _moment(said.get("completionTime"))
    return Step(said["name"], "Failed" if failed else "Succeeded", whole.reason if failed else None, *times)


def _step(name: str, container: Object) -> Step:
    state = container.get("state") or {}
    if running := state.get("running"):
        return Step(name, "Running", None, _moment(running.get("startedAt")))
    if ended := state.get("terminated"):
        times = _moment(ended.get("startedAt")), _moment(ended.get("finishedAt"))
        if ended["exitCode"] == 0:
            return Step(name, "Succeeded", None, *times)
        # What main wrote is the project's, not ours, even where it looks the same.
        said = None if name == names.MAIN_CONTAINER else _report(ended).get("reason")
        return Step(name, "Failed", said or ended.get("reason"), *times)
    return Step(name, "Pending")


def _moment(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)
