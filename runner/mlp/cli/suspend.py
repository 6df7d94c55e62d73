"""``mlp suspend``: stop runs for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.examples import examples
from mlp.cli.place import place_options
from mlp.cli.several import for_each
from mlp.errors import ClusterError

if TYPE_CHECKING:
    from mlp.backends.kubernetes import Cluster
    from mlp.cli.place import Place

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("Free what a run occupies", "mlp suspend wine-main-x7k2p"),
        ("Two of them", "mlp suspend wine-main-x7k2p wine-main-b4n9q"),
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=runs)
@place_options
def command(names: tuple[str, ...], *, place: Place) -> None:
    """Suspend runs: their pods are ended, and others begin from the start when they are resumed.

    A run that has not begun does not begin until then. One on Databricks is cancelled there, and submitted anew.
    """
    with place.connect() as cluster:
        for_each(names, lambda name: _suspend(cluster, name), done="suspended")


def _suspend(cluster: Cluster, name: str) -> None:
    from mlp.backends.kubernetes import Answer, KubernetesRun  # noqa: PLC0415

    match KubernetesRun(cluster, name).suspend():
        case Answer.ENDED:
            raise ClusterError(f"'{name}' has ended; there is nothing to suspend.")
        case Answer.ALREADY:
            click.echo(f"projectrun.mlp.dev/{name} is suspended already")
        case _:
            click.echo(f"projectrun.mlp.dev/{name} suspended")
