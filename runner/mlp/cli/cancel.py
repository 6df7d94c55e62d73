"""``mlp cancel``: end runs, and keep what is known about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.durations import DURATION
from mlp.cli.examples import examples
from mlp.cli.place import place_options
from mlp.cli.several import for_each

if TYPE_CHECKING:
    from mlp.backends.kubernetes import Cluster
    from mlp.cli.place import Place

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("Let a run put its affairs in order, and end", "mlp cancel wine-main-x7k2p"),
        ("At once, and wait until nothing of it is left", "mlp cancel wine-main-x7k2p --now --wait"),
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=runs)
@click.option("--now", is_flag=True, help="Leave out the grace period that the command has after SIGTERM.")
@click.option("--wait", is_flag=True, help="Wait until the runs have ended.")
@click.option("--timeout", type=DURATION, help="How long to wait for each at most, such as 90s or 2h.")
@place_options
def command(names: tuple[str, ...], *, place: Place, now: bool, wait: bool, timeout: float | None) -> None:
    """End runs: their commands get SIGTERM and their grace period, and nothing is started again.

    A run on Databricks is cancelled there, and has ended when Databricks says so; --now changes nothing about that. The
    runs stay, with what is known about them. One that has ended is left as it is.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait.")
    with place.connect() as cluster:
        for_each(names, lambda name: _ask(cluster, name, now=now), done="cancelled")
        if wait:
            for_each(names, lambda name: _wait(cluster, name, timeout), done="waited for")


def _ask(cluster: Cluster, name: str, *, now: bool) -> None:
    from mlp.backends.kubernetes import Answer, KubernetesRun  # noqa: PLC0415

    run = KubernetesRun(cluster, name)
    answer = run.shut_down(now=now)
    if answer is Answer.ENDED:
        click.echo(f"projectrun.mlp.dev/{name} has ended already ({run.get().status.phase})")
    else:
        asked = "is being cancelled already" if answer is Answer.ALREADY else "is being cancelled"
        click.echo(f"projectrun.mlp.dev/{name} {asked}")


def _wait(cluster: Cluster, name: str, timeout: float | None) -> None:
    from mlp.backends.kubernetes import KubernetesRun  # noqa: PLC0415

    run = KubernetesRun(cluster, name)
    run.wait(timeout=timeout)
    click.echo(f"projectrun.mlp.dev/{name} has ended ({run.get().status.phase})")
