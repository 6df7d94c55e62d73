"""``mlp delete``: runs, and what they left in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.durations import DURATION
from mlp.cli.examples import examples
from mlp.cli.place import place_options
from mlp.cli.several import for_each
from mlp.errors import ClusterError, MlpError, RunNotFound, UsageError, WaitTimedOut

if TYPE_CHECKING:
    from mlp.backends.kubernetes import Cluster
    from mlp.cli.place import Place

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("One run", "mlp delete wine-main-x7k2p"),
        ("Two, until nothing is left of them", "mlp delete wine-main-x7k2p wine-main-b4n9q --wait --timeout 60s"),
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=runs)
@click.option("--wait", is_flag=True, help="Wait until the runs, their Jobs and their pods are gone.")
@click.option("--timeout", type=DURATION, help="How long to wait for each at most, such as 90s or 2h.")
@place_options
def command(names: tuple[str, ...], *, place: Place, wait: bool, timeout: float | None) -> None:
    """Delete runs, and what they left in the cluster: their Jobs, pods and logs.

    A run under way is ended; one on Databricks is cancelled there before its ProjectRun goes.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait.")
    with place.connect() as cluster:

        def delete(name: str) -> None:
            cluster.delete(name, after_dependents=wait)
            click.echo(f'projectrun.mlp.dev "{name}" deleted')

        failed: MlpError | None = None
        try:
            for_each(names, delete, done="deleted")
        except (ClusterError, UsageError) as error:
            failed = error  # the others are waited for all the same; not so after Ctrl-C
        if wait:
            for name in names:
                _wait(cluster, name, timeout)
        if failed is not None:
            raise failed


def _wait(cluster: Cluster, name: str, timeout: float | None) -> None:
    try:
        for _ in cluster.states(name, timeout=timeout):
            pass
    except RunNotFound:
        return
    except WaitTimedOut:
        raise WaitTimedOut(f"ProjectRun '{name}' is being deleted, and is not gone after {timeout:g} s.") from None
