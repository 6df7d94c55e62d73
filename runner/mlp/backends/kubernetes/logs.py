"""What a run's containers wrote, read from the cluster: the init containers' lines first, then main's.

A log can be asked for before its pod exists and has to survive what cuts a connection: a silent hour, a restarted
kubelet, an API server behind a load balancer. So each line is read with its time, a broken stream is taken up at the
last one, and whether a container has ended is the pod's word, never the stream's.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from mlp.errors import ClusterError, ClusterUnreachable, RunNotFound, UsageError
from mlp.resources import ConditionType, ProjectRun
from mlp.resources.names import FETCH_CONTAINER, MAIN_CONTAINER, PREPARE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["LogLine", "read_logs"]

Object = dict[str, Any]
Answer = TypeVar("Answer")

_PAUSE: Final = 0.5
"""Seconds between two looks at a pod whose next container has not started."""
_PATIENCE: Final = 60.0
"""Seconds that the cluster may be silent while we follow."""
_SILENCE: Final = 10.0
"""Seconds within which a reading that fails has failed from the start."""
_ENVIRONMENT: Final = "environment"
_CONTAINERS_OF_STEP: Final = {
    # Where a step runs depends on whether credentials are mounted: the first of these that the pod has.
    "clone": (FETCH_CONTAINER, PREPARE_CONTAINER),
    "data": (FETCH_CONTAINER, PREPARE_CONTAINER),
    _ENVIRONMENT: (_ENVIRONMENT, PREPARE_CONTAINER),
    MAIN_CONTAINER: (MAIN_CONTAINER,),
}


class LogLine(NamedTuple):
    """One line of a container."""

    container: str
    text: str

    def __str__(self) -> str:
        """The line as people read it: main's as it is, another's with the container's name."""
        return self.text if self.container == MAIN_CONTAINER else f"[{self.container}] {self.text}"


def read_logs(cluster: Cluster, run: str, *, follow: bool, source: str | None = None) -> Iterator[LogLine]:
    """The lines of a run's newest pod; with ``follow``, those of every pod until the run has ended.

    Args:
        cluster: Where the run is.
        run: The ProjectRun's name.
        follow: Wait for what is still to come, from before there is a pod.
        source: A container, or a step (clone, data, environment, main); all of them if None.

    Raises:
        RunNotFound: There is no such run.
        ClusterError: There is no pod to read from, yet or any more; with ``follow``, there never was one.
        UsageError: The pod has no such container.
    """
    last = ProjectRun.parse(cluster.get(run))
    pods = cluster.pods.of(run)
    if not follow:
        if not pods:
            raise ClusterError(_no_pod(last))
        yield from _of_pod(cluster, pods[-1], source, follow=False)
        return
    seen = {pod["metadata"]["uid"] for pod in pods[:-1]}
    while True:
        # The run first, its pods second: if it has ended by now, no pod can come that is not among them.
        state = _patiently(lambda: _read(cluster, run))
        last = state or last
        pods = _patiently(lambda: cluster.pods.of(run))
        pod = next((pod for pod in pods if pod["metadata"]["uid"] not in seen), None)
        if pod is not None:
            seen.add(pod["metadata"]["uid"])
            yield from _of_pod(cluster, pod, source, follow=True)
        elif state is None or state.finished:
            break
        else:
            time.sleep(_PAUSE)
    if not seen:
        raise ClusterError(_no_pod(last))


def _read(cluster: Cluster, run: str) -> ProjectRun | None:
    try:
        return ProjectRun.parse(cluster.get(run))
    except RunNotFound:
        return None


def _no_pod(run: ProjectRun) -> str:
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    said = f" {succeeded.reason}: {succeeded.message}" if succeeded else ""
    if run.status.kubernetes and run.status.kubernetes.pod_name:
        return f"No pod of '{run.name}' is left, and its logs went with it.{said}"
    if run.finished:
        return f"'{run.name}' never had a pod.{said}"
    return f"'{run.name}' has no pod yet; follow it with --follow.{said}"


def _of_pod(cluster: Cluster, pod: Object, source: str | None, *, follow: bool) -> Iterator[LogLine]:
    spec = pod["spec"]
    names = [container["name"] for container in (*spec.get("initContainers", ()), *spec["containers"])]
    for container in _chosen(names, source):
        yield from _of_container(cluster, pod["metadata"]["name"], container, follow=follow)


def _chosen(names: list[str], source: str | None) -> list[str]:
    if source is None:
        return names
    for candidate in (source, *_CONTAINERS_OF_STEP.get(source, ())):
        if candidate in names:
            return [candidate]
    raise UsageError(f"The run's pod has no container or step '{source}'. Its containers are: {', '.join(names)}.")


def _of_container(cluster: Cluster, pod: str, container: str, *, follow: bool) -> Iterator[LogLine]:
    last = ""
    patience = time.monotonic() + _PATIENCE
    while (state := _patiently(lambda: _state(cluster, pod, container))) != "gone":
        whole = state == "never"
        if state in {"running", "terminated"}:
            began = time.monotonic()
            try:
                for line in cluster.pods.log(pod, container, follow=follow, since_seconds=_seconds_since(last)):
                    moment, _, text = line.decode("utf-8", errors="replace").partition(" ")
                    # Reading again from a second on gives the lines of that second once more.
                    if _comparable(moment) > _comparable(last):
                        last = moment
                        yield LogLine(container, text)
                # What ended before this reading has been read whole; what ran then may have written since.
                whole = state == "terminated"
                patience = time.monotonic() + _PATIENCE
            except ClusterError:
                now = time.monotonic()
                if now - began > _SILENCE:  # it was being read: the container had nothing to say, or the stream broke
                    patience = now + _PATIENCE
                if not follow or now > patience:
                    raise
        if whole or not follow:
            return
        time.sleep(_PAUSE)


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask the cluster, and again if it is silent, for a while."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except ClusterUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def _state(cluster: Cluster, pod: str, container: str) -> str:
    """What can be said of a container: waiting, running, terminated, never (it will not start), or gone."""
    found = cluster.pods.get(pod)
    if found is None:
        return "gone"
    status = found["status"]
    statuses = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    states: Object = next((item["state"] for item in statuses if item["name"] == container), {})
    for state in ("terminated", "running"):
        if state in states:
            return state
    return "never" if status.get("phase") in {"Succeeded", "Failed"} else "waiting"


def _seconds_since(moment: str) -> int | None:
    if not moment:
        return None
    then = datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC)
    return max(1, int((datetime.now(UTC) - then).total_seconds()) + 2)


def _comparable(moment: str) -> str:
    """A time of RFC 3339 with its fraction filled up: writers leave zeros at its end out."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    return f"{whole}.{fraction.ljust(9, '0')}" if moment else ""
