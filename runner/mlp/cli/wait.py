"""``mlp wait``: until a run has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.durations import DURATION
from mlp.cli.examples import examples
from mlp.cli.place import place_options

if TYPE_CHECKING:
    from mlp.cli.place import Place

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("Until it has ended, for half an hour at most", "mlp wait wine-main-x7k2p --timeout 30m"),
        ("With what it writes", "mlp wait wine-main-x7k2p --logs"),
    )
)
@click.argument("name", shell_complete=runs)
@click.option("--timeout", type=DURATION, help="How long to wait at most, such as 90s or 2h.")
@click.option("--logs", is_flag=True, help="Print what the run writes, too.")
@place_options
def command(name: str, *, place: Place, timeout: float | None, logs: bool) -> None:
    """Wait until a run has ended.

    The exit status is the run's result: 0 if it succeeded, 1 if it failed, 3 if it was cancelled or the time was over.
    Ctrl-C leaves the run alone.
    """
    with place.connect() as cluster:
        from mlp.backends.kubernetes import KubernetesRun  # noqa: PLC0415
        from mlp.cli.following import follow  # noqa: PLC0415

        follow(KubernetesRun(cluster, name), place, timeout=timeout, logs=logs)
