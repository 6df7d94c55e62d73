"""Staying with a run on Databricks: its states on stderr, at its end its output on stdout. Who interrupts is asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from mlp.backends.databricks.outcome import is_ours
from mlp.backends.databricks.states import Life
from mlp.cli.signals import Ended, as_interrupts
from mlp.errors import MlpError
from mlp.projects.on_databricks import raise_for_run

if TYPE_CHECKING:
    from mlp.backends.databricks.states import RunState
    from mlp.backends.databricks.submitted import DatabricksRun

__all__ = ["follow_on_databricks"]

_QUESTION: Final = "Cancel the run on Databricks?"


def follow_on_databricks(run: DatabricksRun) -> None:
    """Wait until a run has ended, telling how it goes, and print what it wrote.

    Args:
        run: The run.

    Raises:
        RunError: It failed, was cancelled, or its state could not be read for too long.
        KeyboardInterrupt: The user has had enough. The run was cancelled if they said so, else it goes on.
        SystemExit: The process was told to end. The run goes on.
    """
    with as_interrupts():
        try:
            said = ""
            for state in run.states():
                if (line := _described(run, state)) != said:
                    click.echo(line, err=True)
                    said = line
        except Ended:
            _leave(run)
            raise
        except KeyboardInterrupt:
            if not _asked_to_cancel():
                _leave(run)
            else:
                _cancel(run)
            raise
        _print_output(run)
    raise_for_run(run)
    click.echo(f"=== Run (ID '{run.run_id}') succeeded ===", err=True)


def _described(run: DatabricksRun, state: RunState) -> str:
    life = state.life.value if state.life is not None else state.words or "in a state that this version does not know"
    # That it runs needs no more words, and how it ended is the error's to say, at the end.
    waits = state.life in {Life.QUEUED, Life.PENDING}
    message = f": {state.message}" if state.message and waits else ""
    return f"Run {run.databricks_run_id} on Databricks: {life}{message}"


def _print_output(run: DatabricksRun) -> None:
    try:
        output = run.output()
    except MlpError as error:
        click.echo(f"Warning: the run's output cannot be read: {error}", err=True)
        return
    if output is None:
        return
    if output.truncated:
        click.echo("The beginning of the output is missing: Databricks keeps the end of a log.", err=True)
    if output.log:
        # As it is: a last line without its end stays one.
        click.echo(output.log, nl=False)
    if output.trace and not is_ours(output.error):
        click.echo(output.trace, err=True)


def _asked_to_cancel() -> bool:
    """Whether somebody is there and says that the run is to be cancelled."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo(err=True)
    try:
        return click.confirm(_QUESTION, default=False, err=True)
    except click.Abort:  # Ctrl-C once more, or the end of the input
        click.echo(err=True)
        return False


def _cancel(run: DatabricksRun) -> None:
    click.echo(f"Cancelling run {run.databricks_run_id}…", err=True)
    try:
        run.cancel()
    except KeyboardInterrupt:
        click.echo("The run was asked to end; nobody waits for that any more.", err=True)
        raise
    except MlpError as error:
        click.echo(f"Error: {error}", err=True)
        _leave(run)
        return
    outcome = run.outcome
    cancelled = outcome is None or outcome.status == "KILLED"
    word = "was cancelled" if cancelled else "had ended before it was cancelled"
    click.echo(f"Run {run.databricks_run_id} on Databricks {word}.", err=True)


def _leave(run: DatabricksRun) -> None:
    click.echo(f"\nDetached from run {run.databricks_run_id} on Databricks, which goes on.", err=True)
    if run.url:
        click.echo(f"  Look at it:  {run.url}", err=True)
    click.echo(f"  End it:      databricks jobs cancel-run {run.databricks_run_id}", err=True)
