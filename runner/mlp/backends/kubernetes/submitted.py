"""A run in a cluster, as MLflow's programs know runs: wait, get_status, cancel, logs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from mlp.backends.kubernetes.logs import read_logs
from mlp.errors import RunCancelled, RunError
from mlp.resources import ConditionType, ProjectRun, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["KubernetesRun"]

_SHUTDOWN: Final = {"shutdown": "Stop"}


class KubernetesRun:
    """A ProjectRun in a cluster, by its name. It can be taken up from anywhere, by anyone who may read it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    @property
    def run_id(self) -> str:
        """The ProjectRun's name."""
        return self.name

    def get(self) -> ProjectRun:
        """The ProjectRun as it is now.

        Raises:
            RunNotFound: There is none of that name.
        """
        return ProjectRun.parse(self.cluster.get(self.name))

    def states(self, *, timeout: float | None = None) -> Iterator[ProjectRun]:
        """The ProjectRun as it is, and again whenever it changes (and now and then in between), until it has ended.

        Raises:
            RunNotFound: It is not there, or was deleted meanwhile.
            WaitTimedOut: The time is over. The run goes on.
            ClusterUnreachable: The cluster is silent.
        """
        for state in self.cluster.states(self.name, timeout=timeout):
            run = ProjectRun.parse(state)
            yield run
            if run.finished:
                return

    def wait(self, *, timeout: float | None = None) -> bool:
        """Wait until the run has ended. True if it succeeded.

        Raises:
            WaitTimedOut: The time is over. The run goes on.
        """
        # Of a day's states none but the last is kept.
        return _status(deque(self.states(timeout=timeout), maxlen=1).pop()) == "FINISHED"

    def get_status(self) -> str:
        """RUNNING, SCHEDULED, FINISHED, FAILED or KILLED."""
        return _status(self.get())

    def cancel(self) -> None:
        """End the run and wait until no pod of it is left. Does nothing to a run that has ended."""
        if not self.get().finished:
            self.cluster.update_spec(self.name, _SHUTDOWN)
            self.wait()

    def logs(self, *, follow: bool = False, source: str | None = None) -> Iterator[str]:
        """The lines that the run wrote, without their line ends; those of its preparation begin with ``[container]``.

        Args:
            follow: Go on with what comes, until the run has ended.
            source: A container, or a step: clone, data, environment, main.
        """
        return (str(line) for line in read_logs(self.cluster, self.name, follow=follow, source=source))


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
        case _:
            return "SCHEDULED"
