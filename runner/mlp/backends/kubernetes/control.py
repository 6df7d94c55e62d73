"""What a user does with a run under way: end it, suspend it, resume it. Each is a field of its spec.

The operator acts on them; here they are only asked for, and never asked for twice. A run that has ended is left alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from mlp.errors import ClusterError
from mlp.resources import ProjectRun

if TYPE_CHECKING:
    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["Answer", "resume", "shut_down", "suspend"]


class Answer(StrEnum):
    """What came of asking."""

    ASKED = "Asked"
    ALREADY = "Already"
    """It was asked for before."""
    ENDED = "Ended"
    """The run has ended: there is nothing to be done with it."""


def shut_down(cluster: Cluster, name: str, *, now: bool = False) -> Answer:
    """Ask for a run's end: its command gets SIGTERM and its grace period, and nothing is started again.

    Args:
        cluster: Where the run is.
        name: The ProjectRun's name.
        now: Leave the grace period out.

    Raises:
        RunNotFound: There is no such run.
    """
    run = ProjectRun.read(cluster.get(name))
    if run.finished:
        return Answer.ENDED
    shutdown = "Terminate" if now else "Stop"
    if run.spec.shutdown in {shutdown, "Terminate"}:
        return Answer.ALREADY
    cluster.update_spec(name, {"shutdown": shutdown})
    return Answer.ASKED


def suspend(cluster: Cluster, name: str) -> Answer:
    """Ask for a run to be suspended: its pod is ended, and another begins when it is resumed.

    One on Databricks is cancelled there, and submitted anew.

    Raises:
        RunNotFound: There is no such run.
        ClusterError: It is being shut down.
    """
    run = ProjectRun.read(cluster.get(name))
    if run.finished:
        return Answer.ENDED
    if run.spec.suspend:
        return Answer.ALREADY
    if run.spec.shutdown:
        raise ClusterError(f"'{name}' is being cancelled, and is not suspended on the way.")
    cluster.update_spec(name, {"suspend": True})
    return Answer.ASKED


def resume(cluster: Cluster, name: str) -> Answer:
    """Ask for a suspended run to go on, with a new pod.

    Raises:
        RunNotFound: There is no such run.
    """
    run = ProjectRun.read(cluster.get(name))
    if run.finished:
        return Answer.ENDED
    if not run.spec.suspend:
        return Answer.ALREADY
    cluster.update_spec(name, {"suspend": False})
    return Answer.ASKED
