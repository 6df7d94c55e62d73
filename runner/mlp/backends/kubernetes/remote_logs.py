"""What a run on Databricks wrote. Databricks gives it once the run has ended, and the operator keeps it in a ConfigMap.

So there is one text for the whole run, with all its steps, of its last attempt and without times: what asks for less
is refused, and whoever follows such a run waits for its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.backends.kubernetes.log_lines import LogLine
from mlp.backends.kubernetes.patience import patiently
from mlp.errors import ClusterError, UsageError
from mlp.resources import ConditionType, ProjectRun
from mlp.resources.names import LOG_KEY, MAIN_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlp.backends.kubernetes.cluster import Cluster
    from mlp.backends.kubernetes.log_sources import Wanted

__all__ = ["is_remote", "remote_lines"]


def is_remote(run: ProjectRun) -> bool:
    """Whether a run takes place on Databricks."""
    return run.spec.backend.type == "Databricks"


def remote_lines(
    cluster: Cluster,
    run: ProjectRun,
    wanted: Wanted,
    *,
    follow: bool,
    waiting: Callable[[ProjectRun], None] | None = None,
) -> Iterator[LogLine]:
    """The lines that a run on Databricks wrote.

    Args:
        cluster: Where the ProjectRun is.
        run: The run, as it is now.
        wanted: Which lines.
        follow: Wait for the run's end, before which there are none.
        waiting: Called with the run whenever it changes until then.

    Raises:
        UsageError: What is wanted cannot be told apart in this log.
        ClusterError: There is nothing to read, yet or any more.
    """
    _refuse(wanted)
    if follow:
        run = _ended(cluster, run, waiting)
    elif not run.finished:
        raise ClusterError(
            f"'{run.name}' has not ended, and Databricks gives what a run wrote at its end; wait for it with --follow."
            f"{_said(run)}{_page(run)}"
        )
    _refuse_attempt(run, wanted)
    lines = _text(cluster, run).removesuffix("\n").split("\n")
    kept = lines if wanted.tail is None else lines[len(lines) - min(wanted.tail, len(lines)) :]
    return (LogLine(MAIN_CONTAINER, line, MAIN_CONTAINER) for line in kept)


def _refuse(wanted: Wanted) -> None:
    for option, given in (
        ("--step", wanted.only_step),
        ("--container", wanted.container),
        ("--since", wanted.since),
    ):
        if given is not None:
            raise UsageError(
                f"{option} is for runs in pods: a run on Databricks has one log, without times, of all its steps. "
                "Leave it out."
            )


def _refuse_attempt(run: ProjectRun, wanted: Wanted) -> None:
    last = run.status.attempts or 1
    number = last - 1 if wanted.previous else wanted.attempt
    if number is None or number == last:
        return
    if wanted.previous and number == 0:
        raise ClusterError(f"'{run.name}' has had no attempt before the last one.")
    raise ClusterError(
        f"There are no logs of attempt {number} of '{run.name}': what a run on Databricks wrote is kept of its last "
        f"attempt, which is {last}."
    )


def _ended(cluster: Cluster, run: ProjectRun, waiting: Callable[[ProjectRun], None] | None) -> ProjectRun:
    if run.finished:
        return run
    for state in cluster.states(run.name):
        run = ProjectRun.read(state)
        if run.finished:
            break
        if waiting is not None:
            waiting(run)
    return run


def _text(cluster: Cluster, run: ProjectRun) -> str:
    name = run.status.databricks.log_config_map_name if run.status.databricks else None
    if name is None:
        raise ClusterError(f"Nothing is kept of what '{run.name}' wrote.{_said(run)}{_page(run)}")
    found = patiently(lambda: cluster.core.get("configmaps", name))
    if found is None:
        raise ClusterError(f"The ConfigMap '{name}' is gone, which held what '{run.name}' wrote.{_page(run)}")
    return str((found.get("data") or {}).get(LOG_KEY, ""))


def _said(run: ProjectRun) -> str:
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    return f" {succeeded.reason}: {succeeded.message}" if succeeded else ""


def _page(run: ProjectRun) -> str:
    page = run.status.databricks.run_page_url if run.status.databricks else None
    return f"\nIts page on Databricks: {page}" if page else ""
