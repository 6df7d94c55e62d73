"""Where a run's logs are: which of its pods, which of a pod's containers. Pure: no cluster is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.kubernetes.log_lines import STEPS
from mlp.errors import ClusterError, UsageError
from mlp.resources.names import (
    ENVIRONMENT_CONTAINER,
    FETCH_CONTAINER,
    MAIN_CONTAINER,
    PLAN_ANNOTATION,
    PREPARE_CONTAINER,
)
from mlp.resources.plan import Plan

if TYPE_CHECKING:
    from mlp.resources import ProjectRun

__all__ = ["Progress", "Wanted", "chosen_attempt", "chosen_containers", "progress_of"]

Object = dict[str, Any]

_CONTAINERS_OF_STEP: Final = {
    # Where a step runs depends on whether credentials are mounted: the first of these that the pod has.
    "clone": (FETCH_CONTAINER, PREPARE_CONTAINER),
    "data": (FETCH_CONTAINER, PREPARE_CONTAINER),
    "environment": (ENVIRONMENT_CONTAINER, PREPARE_CONTAINER),
    "main": (MAIN_CONTAINER,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants to read of a run's logs.

    Attributes:
        step: clone, data, environment or main; None or "all": every one.
        container: Only this container.
        attempt: Only this attempt's, counted from 1.
        previous: Only the attempt's before the last.
        tail: Only so many of the last lines of each step, of what is there already.
        since: Only what is younger than so many seconds.
    """

    step: str | None = None
    container: str | None = None
    attempt: int | None = None
    previous: bool = False
    tail: int | None = None
    since: float | None = None

    def __post_init__(self) -> None:
        """Refuse what excludes each other.

        Raises:
            UsageError: Such things are given.
        """
        if self.step not in {None, "all", *STEPS}:
            raise UsageError(f"There is no step '{self.step}'. The steps are: {', '.join(STEPS)}.")
        if self.step and self.container:
            raise UsageError("A step and a container exclude each other: a step names the container that it runs in.")
        if self.previous and self.attempt is not None:
            raise UsageError("--previous and --attempt exclude each other.")

    @property
    def only_step(self) -> str | None:
        """The one step that is meant, if it is one."""
        return None if self.step == "all" else self.step

    @property
    def only_attempt(self) -> bool:
        """Whether one attempt is meant, and none that comes later."""
        return self.previous or self.attempt is not None


class Progress(Enum):
    """How far a container has come."""

    WAITING = auto()
    RUNNING = auto()
    TERMINATED = auto()
    NEVER = auto()
    """The pod has ended without it."""


def progress_of(pod: Object, container: str) -> Progress:
    """What a pod says of one of its containers."""
    status = pod.get("status", {})
    statuses = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    states: Object = next((item.get("state", {}) for item in statuses if item["name"] == container), {})
    if "terminated" in states:
        return Progress.TERMINATED
    if "running" in states:
        return Progress.RUNNING
    return Progress.NEVER if status.get("phase") in {"Succeeded", "Failed"} else Progress.WAITING


def chosen_attempt(run: ProjectRun, pods: list[Object], wanted: Wanted) -> Object:
    """The pod of the attempt that is wanted.

    Args:
        run: The run.
        pods: Its pods that are still there, in the order of their creation.
        wanted: With `attempt` or `previous`.

    Raises:
        ClusterError: It is not there.
    """
    # Pods go with a Job that somebody deletes, or that is suspended: those that are left are the last ones.
    gone = max(0, (run.status.attempts or 0) - len(pods))
    number = wanted.attempt if wanted.attempt is not None else gone + len(pods) - 1
    if gone < number <= gone + len(pods):
        return pods[number - gone - 1]
    if wanted.previous and gone + len(pods) < 2:  # noqa: PLR2004 -- a last one, and one before it
        raise ClusterError(f"'{run.name}' has had no attempt before the last one.")
    if not pods:
        there = "none of its pods is left"
    elif len(pods) == 1:
        there = f"there is the pod of attempt {gone + 1} alone"
    else:
        there = f"there are the pods of the attempts {gone + 1} to {gone + len(pods)}"
    raise ClusterError(f"There are no logs of attempt {number} of '{run.name}': {there}.")


def chosen_containers(pod: Object, wanted: Wanted) -> list[str]:
    """The containers whose logs are wanted, in the order in which they run.

    Raises:
        UsageError: The pod has no such container or step.
    """
    spec = pod["spec"]
    names = [container["name"] for container in (*spec.get("initContainers", ()), *spec["containers"])]
    step = wanted.only_step
    if wanted.container is not None:
        if wanted.container not in names:
            raise UsageError(
                f"The run's pod has no container '{wanted.container}'. Its containers are: {', '.join(names)}."
            )
        return [wanted.container]
    if step is None:
        return names
    found = [name for name in _CONTAINERS_OF_STEP[step] if name in names]
    planned = _steps(pod)
    if not found or (planned and step not in planned):
        its = planned or tuple(name for name in STEPS if not set(_CONTAINERS_OF_STEP[name]).isdisjoint(names))
        raise UsageError(f"The run has no step '{step}'. Its steps are: {', '.join(its)}.")
    return found[:1]


def _steps(pod: Object) -> tuple[str, ...]:
    """The steps that a pod was made for; nothing where it does not say so."""
    text = pod["metadata"].get("annotations", {}).get(PLAN_ANNOTATION)
    if text is None:
        return ()
    try:
        return (*Plan.from_json(text).steps, MAIN_CONTAINER)
    except ValueError:  # of a newer operator
        return ()
