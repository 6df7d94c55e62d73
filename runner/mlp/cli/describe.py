"""``mlp describe``: everything about a run, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.examples import examples
from mlp.cli.place import place_options

if TYPE_CHECKING:
    from mlp.backends.kubernetes import Cluster
    from mlp.backends.kubernetes.events import Event
    from mlp.cli.place import Place
    from mlp.resources import ProjectRun

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("Why a run is not further, and what to do", "mlp describe wine-main-x7k2p"),
        ("Without what the cluster has noted about it", "mlp describe wine-main-x7k2p --no-events"),
    )
)
@click.argument("name", shell_complete=runs)
@click.option("--events/--no-events", default=True, help="What the cluster has noted about it, too.  [default: yes]")
@place_options
def command(name: str, *, place: Place, events: bool) -> None:
    """Tell everything about a run: why it is not further, what it runs, its steps and attempts, and what to do next."""
    with place.connect() as cluster:
        from mlp.cli.description import described_run  # noqa: PLC0415
        from mlp.resources import ProjectRun  # noqa: PLC0415

        run = ProjectRun.read(cluster.get(name))
        noted, missing = _events(cluster, run) if events else ([], "")
    for line in described_run(run, events=noted, call=place.call):
        click.echo(line)
    if missing:
        click.echo(f"Warning: the events cannot be read. {missing}", err=True)


def _events(cluster: Cluster, run: ProjectRun) -> tuple[list[Event], str]:
    """The events about a run; or why there are none."""
    from mlp.backends.kubernetes.events import events_of  # noqa: PLC0415
    from mlp.errors import ClusterError  # noqa: PLC0415

    try:
        return events_of(cluster.core, run, cluster.pods.of(run.name)), ""
    except ClusterError as error:  # to read runs takes other rights
        return [], str(error)
