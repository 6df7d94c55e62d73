"""A run in a cluster, as MLflow's programs know runs: wait, get_status, cancel, logs; and what a cluster adds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from mlp.backends.kubernetes.control import Answer, resume, shut_down, suspend
from mlp.backends.kubernetes.log_sources import Wanted
from mlp.backends.kubernetes.logs import read_logs
from mlp.backends.kubernetes.outcome import recorded_as
from mlp.backends.kubernetes.patience import patiently
from mlp.backends.kubernetes.retrying import retry
from mlp.errors import RunCancelled, RunError
from mlp.resources import ConditionType, ProjectRun, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["KubernetesRun"]

_RECORDED_WITHIN: Final = 60.0
"""Seconds in which an operator that is there has made the run in MLflow, or has said why not."""


class KubernetesRun:
    """A ProjectRun in a cluster, by its name. It can be taken up from anywhere, by anyone who may read it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._recorded_as: str | None = None
        self._asked_for_id = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.cluster.namespace}/{self.name}>"

    @property
    def run_id(self) -> str:
        """MLflow's run ID; the ProjectRun's name as long as there is none.

        The operator makes the run in MLflow before the pod. The first one who asks waits for that, a minute at most.
        """
        if self._recorded_as is None:
            within = 0.0 if self._asked_for_id else _RECORDED_WITHIN
            self._asked_for_id = True
            self._recorded_as = recorded_as(self, within=within)
        return self._recorded_as or self.name

    def get(self) -> ProjectRun:
        """The ProjectRun as it is now.

        Raises:
            RunNotFound: There is none of that name.
        """
        return ProjectRun.read(self.cluster.get(self.name))

    def states(self, *, timeout: float | None = None) -> Iterator[ProjectRun]:
        """The ProjectRun as it is, and again whenever it changes (and now and then in between), until it has ended.

        Raises:
            RunNotFound: It is not there, or was deleted meanwhile.
            WaitTimedOut: The time is over. The run goes on.
            ClusterUnreachable: The cluster is silent.
        """
        for state in self.cluster.states(self.name, timeout=timeout):
            run = ProjectRun.read(state)
            yield run
            if run.finished:
                return

    def wait(self, *, timeout: float | None = None) -> bool:
        """Wait until the run has ended. True if it succeeded.

        Raises:
            WaitTimedOut: The time is over. The run goes on.
        """
        return _status(self.last_state(timeout=timeout)) == "FINISHED"

    def last_state(self, *, timeout: float | None = None) -> ProjectRun:
        """Wait until the run has ended. The ProjectRun as it is then.

        Raises:
            RunNotFound: It is not there, or was deleted meanwhile.
            WaitTimedOut: The time is over. The run goes on.
        """
        # Of a day's states none but the last is kept.
        return deque(self.states(timeout=timeout), maxlen=1).pop()

    def get_status(self) -> str:
        """RUNNING, SCHEDULED, FINISHED, FAILED or KILLED."""
        return _status(patiently(self.get))

    def shut_down(self, *, now: bool = False) -> Answer:
        """Ask for the run's end, and do not wait for it.

        Args:
            now: Leave out the grace period in which the command may put its affairs in order.
        """
        return shut_down(self.cluster, self.name, now=now)

    def cancel(self, *, now: bool = False) -> None:
        """End the run and wait until it has ended: no pod of it is left, or Databricks says so.

        Does nothing to a run that has ended.
        """
        if patiently(lambda: self.shut_down(now=now)) is not Answer.ENDED:
            self.wait()

    def suspend(self) -> Answer:
        """Ask for the run's pod to be ended until the run is resumed; a run on Databricks is cancelled there."""
        return suspend(self.cluster, self.name)

    def resume(self) -> Answer:
        """Ask for the run to go on, with a new pod; on Databricks it is submitted anew."""
        return resume(self.cluster, self.name)

    def retry(self, *, name: str | None = None, latest: bool = False) -> KubernetesRun:
        """Run once more what this run, which has ended, has run.

        Args:
            name: The new run's name; one is made if None.
            latest: Resolve the version anew, instead of running the same commit.

        Raises:
            UsageError: It has not ended.
        """
        return KubernetesRun(
            self.cluster, retry(self.cluster, self.name, new_name=name, latest=latest)["metadata"]["name"]
        )

    def logs(
        self,
        *,
        follow: bool = False,
        step: str | None = None,
        container: str | None = None,
        attempt: int | None = None,
        tail: int | None = None,
    ) -> Iterator[str]:
        """The lines that the run wrote, without their line ends; those of its preparation begin with ``[step]``.

        Those of a run on Databricks are there when it has ended.

        Args:
            follow: Go on with what comes, over all attempts, until the run has ended.
            step: Only what this one wrote: clone, data, environment or main.
            container: Only what this container wrote.
            attempt: Only what was written in this attempt; the last one's if None.
            tail: Only so many of the last lines of each step, of those that are there already.
        """
        wanted = Wanted(step=step, container=container, attempt=attempt, tail=tail)
        lines = read_logs(self.cluster, self.name, wanted, follow=follow)
        return (line.text if wanted.only_step else str(line) for line in lines)


def raise_for_outcome(run: ProjectRun) -> None:
    """Do nothing for a run that succeeded or goes on.

    Raises:
        RunCancelled: Someone has ended it.
        RunError: It failed; the message says why.
    """
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    if succeeded is None or succeeded.status != "False":
        return
    kind = RunCancelled if succeeded.reason == Reason.CANCELLED else RunError
    word = "was cancelled" if kind is RunCancelled else "failed"
    raise kind(f"Run '{run.name}' {word}. {succeeded.reason}: {succeeded.message}")


def _status(run: ProjectRun) -> str:
    """MLflow's word for a run's state."""
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    match (succeeded.status, succeeded.reason) if succeeded else ("Unknown", ""):
        case "True", _:
            return "FINISHED"
        case "False", Reason.CANCELLED:
            return "KILLED"
        case "False", _:
            return "FAILED"
        case _, Reason.RUNNING:
            return "RUNNING"
        case _, Reason.ENDING | Reason.WORKSPACE_UNAVAILABLE if _was_started(run):
            return "RUNNING"
        case _:
            return "SCHEDULED"


def _was_started(run: ProjectRun) -> bool:
    """Whether its command was started. What is said of a workspace, or of an end on the way, does not tell."""
    initialized = run.status.condition(ConditionType.INITIALIZED)
    return initialized is not None and initialized.status == "True"
