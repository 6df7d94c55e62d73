"""What a run's containers wrote, read from the cluster: the init containers' lines first, then main's.

(A run on Databricks has none: see mlp.backends.kubernetes.remote_logs.)

A log can be asked for before its pod exists and has to survive what cuts a connection: a silent hour, a restarted
kubelet, an API server behind a load balancer. So each line is read with its time, a broken stream is taken up at the
last one, and whether a container has ended is the pod's word, never the stream's.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.kubernetes.log_lines import LogLine, Writer, last_of_each_step
from mlp.backends.kubernetes.log_sources import Progress, Wanted, chosen_attempt, chosen_containers, progress_of
from mlp.backends.kubernetes.pages import tracking_page
from mlp.backends.kubernetes.patience import PATIENCE, patiently
from mlp.backends.kubernetes.remote_logs import is_remote, remote_lines
from mlp.errors import ClusterError, RunNotFound
from mlp.resources import ConditionType, ProjectRun
from mlp.resources.names import INIT_CONTAINERS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from mlp.backends.kubernetes.cluster import Cluster

    Waiting = Callable[[ProjectRun], None]

__all__ = ["read_logs"]

Object = dict[str, Any]
_PAUSE: Final = 0.5
"""Seconds between two looks at a pod whose next container has not started."""
_LOOK: Final = 2.0
"""Seconds between two looks at the run meanwhile, for whoever wants to hear why."""
_SILENCE: Final = 10.0
"""Seconds within which a reading that fails has failed from the start."""


def read_logs(
    cluster: Cluster, run: str, wanted: Wanted | None = None, *, follow: bool, waiting: Waiting | None = None
) -> Iterator[LogLine]:
    """The lines of a run's newest pod; with ``follow``, those of every pod until the run has ended.

    Those of a run on Databricks are there when it has ended.

    Args:
        cluster: Where the run is.
        run: The ProjectRun's name.
        wanted: Which lines; all of the run's newest pod if None.
        follow: Wait for what is still to come, from before there is a pod.
        waiting: Called with the run now and then as long as there is nothing to be read.

    Raises:
        RunNotFound: There is no such run.
        ClusterError: There is nothing to read from, yet or any more; with ``follow``, there never was.
        UsageError: The pod has no such container or step.
    """
    return _Reading(cluster, run, wanted or Wanted(), follow=follow, waiting=waiting).lines()


class _Reading:
    """One reading of a run's logs."""

    def __init__(self, cluster: Cluster, run: str, wanted: Wanted, *, follow: bool, waiting: Waiting | None) -> None:
        self._cluster = cluster
        self._run = run
        self._wanted = wanted
        self._follow = follow
        self._waiting = waiting
        self._looked = 0.0
        self._tail = wanted.tail
        self._since = ""
        if wanted.since is not None:
            self._since = (datetime.now(UTC) - timedelta(seconds=wanted.since)).isoformat().replace("+00:00", "Z")
        self._started = False
        """Whether anything has that is wanted."""

    def lines(self) -> Iterator[LogLine]:
        """The lines."""
        last = ProjectRun.read(self._cluster.get(self._run))
        if is_remote(last):
            yield from remote_lines(self._cluster, last, self._wanted, follow=self._follow, waiting=self._waiting)
            return
        pods = self._cluster.pods.of(self._run)
        if self._wanted.only_attempt:
            yield from self._of_pod(chosen_attempt(last, pods, self._wanted))
        elif not self._follow:
            if not pods:
                raise ClusterError(_no_pod(last))
            yield from self._of_pod(pods[-1])
        else:
            last = yield from self._of_all_pods(last, pods)
        if not self._started:
            raise ClusterError(self._nothing(last))

    def _of_all_pods(self, last: ProjectRun, pods: list[Object]) -> Generator[LogLine, None, ProjectRun]:
        """The lines of the newest pod and of those that come, until the run has ended. Returns the run's last state."""
        seen = {pod["metadata"]["uid"] for pod in pods[:-1]}
        while True:
            # The run first, its pods second: if it has ended by now, no pod can come that is not among them.
            state = patiently(self._state)
            last = state or last
            pods = patiently(lambda: self._cluster.pods.of(self._run))
            pod = next((pod for pod in pods if pod["metadata"]["uid"] not in seen), None)
            if pod is not None:
                seen.add(pod["metadata"]["uid"])
                yield from self._of_pod(pod)
                self._tail = None  # of the pods that come, everything is new
            elif state is None or state.finished:
                break
            else:
                self._tell(state)
                time.sleep(_PAUSE)
        if not seen:
            raise ClusterError(_no_pod(last))
        return last

    def _of_pod(self, pod: Object) -> Iterator[LogLine]:
        for container in chosen_containers(pod, self._wanted):
            for line in self._of_container(pod["metadata"]["name"], container):
                if self._wanted.only_step in {None, line.step}:
                    yield line

    def _of_container(self, pod: str, container: str) -> Iterator[LogLine]:
        last, tail = "", self._tail
        writer = Writer(container)
        patience = time.monotonic() + PATIENCE
        while (progress := patiently(lambda: self._progress(pod, container))) is not None:
            whole = progress is Progress.NEVER
            if progress in {Progress.RUNNING, Progress.TERMINATED}:
                # Whether one step among several has begun, its lines tell.
                self._started |= self._wanted.only_step is None or container not in INIT_CONTAINERS
                began = time.monotonic()
                try:
                    if tail is not None:
                        there = list(self._entries(pod, container, writer, last, tail=tail))
                        last = there[-1].moment if there else ""
                        yield from (line for line in last_of_each_step(there, tail) if self._is_young(line))
                    else:
                        for line in self._entries(pod, container, writer, last):
                            last = line.moment
                            if self._is_young(line):
                                yield line
                    # What ended before this reading has been read whole; what ran then may have written since.
                    whole = progress is Progress.TERMINATED
                    patience, tail = time.monotonic() + PATIENCE, None
                except ClusterError:
                    now = time.monotonic()
                    # It was being read: the container was silent, or the stream broke. But on a node that is gone,
                    # a container goes on for ever as far as anybody knows, also when its run has ended.
                    if now - began > _SILENCE and not self._is_over():
                        patience = now + PATIENCE
                    if not self._follow or now > patience:
                        raise
            elif progress is Progress.WAITING and self._follow and self._waiting:
                self._tell()
            if whole or not self._follow:
                return
            time.sleep(_PAUSE)

    def _entries(
        self, pod: str, container: str, writer: Writer, last: str, *, tail: int | None = None
    ) -> Iterator[LogLine]:
        """What a container wrote after a moment: all that comes, or only what is there if the tail is wanted."""
        prepares = container in INIT_CONTAINERS
        lines = self._cluster.pods.log(
            pod,
            container,
            follow=self._follow and tail is None,
            # Of a container with several steps everything is read, for the headings.
            since_seconds=_seconds_since(last or ("" if prepares else self._since)),
            tail_lines=None if tail is None or prepares else max(tail, 1),
        )
        for entry in lines:
            moment, _, text = entry.decode("utf-8", errors="replace").partition(" ")
            # Reading again from a second on gives the lines of that second once more.
            if _comparable(moment) > _comparable(last):
                last = moment
                step, text = writer.read(text)
                self._started |= step == self._wanted.only_step
                yield LogLine(container, text, step, moment, pod)

    def _is_young(self, line: LogLine) -> bool:
        return _comparable(line.moment) >= _comparable(self._since)

    def _progress(self, pod: str, container: str) -> Progress | None:
        """How far a container has come; None if its pod is gone."""
        found = self._cluster.pods.get(pod)
        return None if found is None else progress_of(found, container)

    def _state(self) -> ProjectRun | None:
        try:
            return ProjectRun.read(self._cluster.get(self._run))
        except RunNotFound:
            return None

    def _is_over(self) -> bool:
        state = patiently(self._state)
        return state is None or state.finished

    def _tell(self, state: ProjectRun | None = None) -> None:
        now = time.monotonic()
        if self._waiting is not None and now - self._looked >= _LOOK:
            self._looked = now
            if (state := state or self._state()) is not None and not state.finished:
                self._waiting(state)

    def _nothing(self, run: ProjectRun) -> str:
        meant = self._wanted.only_step or self._wanted.container
        what = f"'{meant}' of '{run.name}'" if meant else f"The pod of '{run.name}'"
        if run.finished or self._follow:
            return f"{what} never started.{_said(run)}"
        return f"{what} has not started; follow it with --follow.{_said(run)}"


def _said(run: ProjectRun) -> str:
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    return f" {succeeded.reason}: {succeeded.message}" if succeeded else ""


def _no_pod(run: ProjectRun) -> str:
    if run.status.kubernetes and run.status.kubernetes.pod_name:
        page = tracking_page(run.status.mlflow)
        kept = f"\nWhat it has logged to MLflow is still there: {page}" if page else ""
        return f"No pod of '{run.name}' is left, and its logs went with it.{_said(run)}{kept}"
    if run.finished:
        return f"'{run.name}' never had a pod.{_said(run)}"
    return f"'{run.name}' has no pod yet; follow it with --follow.{_said(run)}"


def _seconds_since(moment: str) -> int | None:
    if not moment:
        return None
    then = datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC)
    return max(1, int((datetime.now(UTC) - then).total_seconds()) + 2)


def _comparable(moment: str) -> str:
    """A time of RFC 3339 with its fraction filled up: writers leave zeros at its end out."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    return f"{whole}.{fraction.ljust(9, '0')}" if moment else ""
