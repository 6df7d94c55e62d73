"""``mlp logs``: what a run wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.examples import examples
from mlp.cli.place import place_options

if TYPE_CHECKING:
    from mlp.cli.place import Place

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("What a run wrote", "mlp logs wine-main-x7k2p"),
        ("And what it is going to write", "mlp logs -f wine-main-x7k2p"),
        ("Only from fetching the project", "mlp logs wine-main-x7k2p --step clone"),
    )
)
@click.argument("name", shell_complete=runs)
@click.option("-f", "--follow", is_flag=True, help="Go on, from before there is a pod until the run has ended.")
@click.option(
    "-c",
    "--container",
    "--step",
    "source",
    metavar="NAME",
    help="Only this container, or the one in which this step runs: clone, data, environment or main.",
)
@place_options
def command(name: str, *, place: Place, follow: bool, source: str | None) -> None:
    """Print what a run wrote.

    What the project's own command wrote stands as it is; what came before, from preparing it, is marked with its
    container's name.
    """
    with place.connect() as cluster:
        from mlp.backends.kubernetes import KubernetesRun  # noqa: PLC0415

        for line in KubernetesRun(cluster, name).logs(follow=follow, source=source):
            click.echo(line)
