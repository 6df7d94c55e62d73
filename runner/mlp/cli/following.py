"""Staying with a run in a cluster until it has ended: its states on stderr, if wanted its output on stdout."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from mlp.backends.kubernetes import KubernetesRun, raise_for_outcome
from mlp.errors import MlpError
from mlp.resources import ConditionType

if TYPE_CHECKING:
    from mlp.cli.place import Place
    from mlp.resources import ProjectRun

__all__ = ["described", "follow", "where_it_is"]

_UNSEEN: Final = 10.0
"""Seconds after which a run that no operator has looked at deserves a word."""


def follow(run: KubernetesRun, place: Place, *, timeout: float | None = None, logs: bool = False) -> None:
    """Wait until a run has ended, telling how it goes.

    Args:
        run: The run.
        place: How the user has named the cluster.
        timeout: Seconds after which to give up.
        logs: Print what it writes, too.

    Raises:
        RunError: It failed, was cancelled, or the time is over.
        KeyboardInterrupt: The user has had enough; the run goes on.
    """
    reader = threading.Thread(target=_print_logs, args=(place, run.name, run.cluster.namespace), daemon=True)
    if logs:
        reader.start()
    try:
        last = _report(run, timeout)
        if logs:
            reader.join()
    except KeyboardInterrupt:
        click.echo(f"\nDetached from run '{run.name}', which goes on.", err=True)
        click.echo(f"  Follow it again:  {place.call('wait', run.name)}", err=True)
        click.echo(f"  Read its output:  {place.call('logs -f', run.name)}", err=True)
        click.echo(f"  End it:           {place.call('cancel', run.name)}", err=True)
        raise
    raise_for_outcome(last)


def _report(run: KubernetesRun, timeout: float | None) -> ProjectRun:
    """Print each state that is new, until the last."""
    said = unrecorded = place = ""
    asked_for_operator = False
    for state in run.states(timeout=timeout):
        if (line := described(state)) != said:
            click.echo(line, err=True)
            said = line
        if (line := where_it_is(state)) and line != place:
            click.echo(line, err=True)
            place = line
        if (line := _unrecorded(state)) and line != unrecorded:
            click.echo(line, err=True)
            unrecorded = line
        if not asked_for_operator and _is_unseen(state):
            click.echo(
                f"No operator has looked at '{state.name}' yet. Is mlp's operator running in this cluster, "
                "and does it watch this namespace?",
                err=True,
            )
            asked_for_operator = True
    return state


def described(run: ProjectRun) -> str:
    """How a run is, in a line: its phase, the reason, and while it goes on what there is to say about it."""
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    if succeeded is None:
        return f"{run.name}: Pending"
    phase = run.status.phase or "Pending"
    reason = "" if succeeded.reason == phase else f" ({succeeded.reason})"
    # What a failed run has to say is the error's to say, at the end.
    message = f": {succeeded.message}" if succeeded.message and succeeded.status == "Unknown" else ""
    return f"{run.name}: {phase}{reason}{message}"


def where_it_is(run: ProjectRun) -> str:
    """Where a run that is under way on Databricks can be seen, and when its output can; nothing of any other."""
    page = run.status.databricks.run_page_url if run.status.databricks else None
    if page is None or run.finished:
        return ""
    return f"{run.name}: on Databricks, which gives what a run writes at its end: {page}"


def _unrecorded(run: ProjectRun) -> str:
    """That MLflow does not know of the run, which its status alone does not show; nothing where it does."""
    tracked = run.status.condition(ConditionType.TRACKED)
    # What ended a run before its pod is the error's to say.
    if tracked is None or tracked.status != "False" or run.finished:
        return ""
    return f"{run.name}: not recorded in MLflow: {tracked.message}"


def _is_unseen(run: ProjectRun) -> bool:
    if run.status.observed_generation not in {None, -1} or run.created is None:
        return False
    return (datetime.now(UTC) - run.created).total_seconds() > _UNSEEN


def _print_logs(place: Place, name: str, namespace: str) -> None:
    # With a connection of its own: the one that waits is busy, and may be closed while a line is still coming.
    try:
        with place.connect() as cluster:
            cluster.namespace = namespace
            for line in KubernetesRun(cluster, name).logs(follow=True):
                click.echo(line)
    except MlpError as error:
        click.echo(f"Warning: the run's output cannot be read: {error}", err=True)
    except OSError:
        pass  # nobody reads our output any more; the run is waited for all the same
