"""What one pod of a run says about how far it is. Pure.

How it failed is told in failures.py, what our own containers say at their ends in reports.py; whether a failure is the
end of the run is not known here: see situation.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names
from mlp.resources.conditions import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Situation",
    "completion",
    "container_of",
    "disrupted",
    "exit_code",
    "has_started",
    "held",
    "init_started",
    "left",
    "main_started",
    "moment_of",
    "terminated",
    "told_to_end",
    "withdrawn",
]

Object = dict[str, Any]

_TRACKING_FINALIZER: Final = "batch.kubernetes.io/job-tracking"


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
    state = (container_of(pod, names.MAIN_CONTAINER) or {}).get("state") or {}
    return "running" in state or "terminated" in state


def disrupted(pod: Object) -> bool:
    """Whether the cluster, not the command, ended the pod (a drain, preemption, a lost node)."""
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "DisruptionTarget" and each["status"] == "True" for each in conditions)


def exit_code(pod: Object) -> int | None:
    """The exit code of main, once it has ended."""
    ended = terminated(container_of(pod, names.MAIN_CONTAINER))
    return None if ended is None else int(ended["exitCode"])


def init_started(pod: Object) -> datetime | None:
    """When the init container that runs now was started."""
    for name in names.INIT_CONTAINERS:
        running = ((container_of(pod, name) or {}).get("state") or {}).get("running")
        if running:
            return moment_of(running.get("startedAt"))
    return None


def main_started(pod: Object) -> datetime | None:
    """When the command was started."""
    state = (container_of(pod, names.MAIN_CONTAINER) or {}).get("state") or {}
    return moment_of((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def told_to_end(pod: Mapping[str, Any]) -> datetime | None:
    """When somebody asked for the pod's deletion, and kubelet told the command."""
    metadata = pod["metadata"]
    deadline = moment_of(metadata.get("deletionTimestamp"))
    return None if deadline is None else deadline - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)


def completion(pod: Mapping[str, Any]) -> datetime | None:
    """When the last container ended."""
    ends = [
        moment_of(ended.get("finishedAt"))
        for container in (pod["status"].get("initContainerStatuses") or [])
        + (pod["status"].get("containerStatuses") or [])
        if (ended := terminated(container)) is not None
    ]
    return max((end for end in ends if end is not None), default=None)


def container_of(pod: Object, name: str) -> Object | None:
    """The status of a container, an init container or not; None if there is none yet."""
    every = (pod["status"].get("initContainerStatuses") or []) + (pod["status"].get("containerStatuses") or [])
    return next((each for each in every if each["name"] == name), None)


def terminated(container: Object | None) -> Object | None:
    """How a container has ended; None if it has not."""
    ended: Object | None = ((container or {}).get("state") or {}).get("terminated")
    return ended


def moment_of(text: str | None) -> datetime | None:
    """A moment as the API server writes it."""
    return None if not text else datetime.fromisoformat(text)
