"""``mlp retry``: a run that has ended, once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.durations import DURATION
from mlp.cli.examples import examples
from mlp.cli.output import output_option, print_objects, reference
from mlp.cli.place import place_options

if TYPE_CHECKING:
    from mlp.cli.place import Place

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("The same commit with the same parameters", "mlp retry wine-main-x7k2p --logs"),
        ("What the branch is at today", "mlp retry wine-main-x7k2p --latest --wait"),
        ("The runs that repeat one", "mlp list -l mlp.dev/retry-of=wine-main-x7k2p"),
    )
)
@click.argument("name", shell_complete=runs)
@click.option("--name", "new_name", metavar="NAME", help="The new run's name.  [default: the old one's, ending anew]")
@click.option("--latest", is_flag=True, help="What the version stands for today, instead of the same commit.")
@click.option("--wait", is_flag=True, help="Wait until the new run has ended; the exit status tells how.")
@click.option("--logs", is_flag=True, help="Wait, and print what it writes.")
@click.option("--timeout", type=DURATION, help="How long to wait at most, such as 90s or 2h.")
@output_option("yaml", "json", "name")
@place_options
def command(
    name: str,
    *,
    place: Place,
    new_name: str | None,
    latest: bool,
    wait: bool,
    logs: bool,
    timeout: float | None,
    output: str | None,
) -> None:
    """Run once more what a run has run that has ended: a new run with the same spec.

    It has the label mlp.dev/retry-of with the old one's name.
    """
    if timeout is not None and not (wait or logs):
        raise click.UsageError("--timeout goes with --wait or --logs.")
    with place.connect() as cluster:
        from mlp.backends.kubernetes import KubernetesRun, retry  # noqa: PLC0415

        created = retry(cluster, name, new_name=new_name, latest=latest)
        if output is not None:
            print_objects([created], output)
        else:
            click.echo(f"{reference(created)} created", err=logs)
        if wait or logs:
            from mlp.cli.following import follow  # noqa: PLC0415

            follow(KubernetesRun(cluster, created["metadata"]["name"]), place, timeout=timeout, logs=logs)
