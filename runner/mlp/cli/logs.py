"""``mlp logs``: what a run wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlp.cli.candidates import runs
from mlp.cli.durations import DURATION
from mlp.cli.examples import examples
from mlp.cli.place import place_options
from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlp.backends.kubernetes import LogLine, Wanted
    from mlp.cli.place import Place
    from mlp.resources import ProjectRun

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("What a run wrote", "mlp logs wine-main-x7k2p"),
        ("And what it is going to write, from its last 20 lines", "mlp logs -f wine-main-x7k2p --tail 20"),
        ("Only from building its environment", "mlp logs wine-main-x7k2p --step environment"),
        ("The attempt before the last, with times", "mlp logs wine-main-x7k2p --previous --timestamps"),
    )
)
@click.argument("name", shell_complete=runs)
@click.option("-f", "--follow", is_flag=True, help="Go on, from before there is a pod until the run has ended.")
@click.option(
    "-s",
    "--step",
    type=click.Choice(["clone", "data", "environment", "main", "all"]),
    help="Only what this step wrote. 'all': everything, each line with its step in front.",
)
@click.option("-c", "--container", metavar="NAME", help="Only what this container of the pod wrote.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Of this attempt.  [default: the last]")
@click.option("-p", "--previous", is_flag=True, help="Of the attempt before the last.")
@click.option("--timestamps", is_flag=True, help="With the time at which each line was written.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each step.")
@click.option("--since", type=DURATION, help="Only what is younger, such as 90s or 2h.")
@place_options
def command(
    name: str,
    *,
    place: Place,
    follow: bool,
    timestamps: bool,
    **asked: Any,  # noqa: ANN401 -- the fields of Wanted
) -> None:
    """Print what a run wrote.

    What the project's own command wrote stands as it is; what came before, from preparing it, is marked with its
    step. A step that is asked for alone stands as it is, too.

    Databricks gives what a run wrote there when it has ended; -f waits for that.
    """
    with place.connect() as cluster:
        from mlp.backends.kubernetes import Wanted, read_logs  # noqa: PLC0415

        wanted = Wanted(**asked)
        written = _writing(wanted, timestamps=timestamps)
        pod = ""
        for line in read_logs(cluster, name, wanted, follow=follow, waiting=_tell_waiting()):
            if pod not in {"", line.pod}:
                click.echo(f"{name}: another attempt, in pod {line.pod}", err=True)
            pod = line.pod
            click.echo(written(line))


def _writing(wanted: Wanted, *, timestamps: bool) -> Callable[[LogLine], str]:
    """How a line is printed."""
    if wanted.only_step or wanted.container:
        text: Callable[[LogLine], str] = lambda line: line.text  # noqa: E731 -- one of three
    elif wanted.step == "all":
        text = lambda line: line.marked  # noqa: E731
    else:
        text = str
    return (lambda line: f"{_moment(line)} {text(line)}") if timestamps else text


def _moment(line: LogLine) -> str:
    if not line.moment:
        raise UsageError("--timestamps is for runs in pods: the log of a run on Databricks has no times. Leave it out.")
    return line.moment


def _tell_waiting() -> Callable[[ProjectRun], None]:
    """Say on stderr why there is nothing to be read yet, once for each reason."""
    from mlp.cli.following import described, where_it_is  # noqa: PLC0415

    said = place = ""

    def tell(run: ProjectRun) -> None:
        nonlocal said, place
        if (line := described(run)) != said:
            said = line
            click.echo(line, err=True)
        if (line := where_it_is(run)) and line != place:
            place = line
            click.echo(line, err=True)

    return tell
