"""``mlp resume``: let suspended runs go on."""

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
        ("A run that was suspended", "mlp resume wine-main-x7k2p"),
        ("Two of them", "mlp resume wine-main-x7k2p wine-main-b4n9q"),
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=runs)
@place_options
def command(names: tuple[str, ...], *, place: Place) -> None:
    """Let suspended runs go on. Their commands begin from the start, in new pods or as new runs on Databricks."""
    with place.connect() as cluster:
        for_each(names, lambda name: _resume(cluster, name), done="resumed")


def _resume(cluster: Cluster, name: str) -> None:
    from mlp.backends.kubernetes import Answer, KubernetesRun  # noqa: PLC0415

    match KubernetesRun(cluster, name).resume():
        case Answer.ENDED:
            raise ClusterError(f"'{name}' has ended. To run the same once more: mlp retry {name}")
        case Answer.ALREADY:
            click.echo(f"projectrun.mlp.dev/{name} is not suspended")
        case _:
            click.echo(f"projectrun.mlp.dev/{name} resumed")
