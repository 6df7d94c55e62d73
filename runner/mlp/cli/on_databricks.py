"""Staying with a run on Databricks: its states on stderr, at its end its output on stdout. Who interrupts is asked."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

import click

from mlp.cli.progress import say
from mlp.cli.signals import Ended, as_interrupts
from mlp.errors import MlpError
from mlp.projects.staying import print_output, raise_for_run, stay_with, ways_on

if TYPE_CHECKING:
    from mlp.backends.databricks.submitted import DatabricksRun

__all__ = ["follow_on_databricks", "tell_ways_on"]

_QUESTION: Final = "Cancel the run on Databricks?"


def follow_on_databricks(run: DatabricksRun) -> None:
    """Wait until a run has ended, telling how it goes, and print what it wrote.

    Args:
        run: The run.

    Raises:
        RunError: It failed, was cancelled, or its state could not be read for too long.
        KeyboardInterrupt: The user has had enough. The run was cancelled if they said so, else it goes on. One that
            ended by itself, before they had decided, is told as if nobody had interrupted.
        SystemExit: The process was told to end. The run goes on.
    """
    with as_interrupts():
        try:
            stay_with(run)
        except Ended:
            _leave(run)
            raise
        except KeyboardInterrupt:
            if not _has_ended_by_itself(run):
                raise
        print_output(run)
    raise_for_run(run)
    say(f"=== Run (ID '{run.run_id}') succeeded ===")


def _has_ended_by_itself(run: DatabricksRun) -> bool:
    """Ask what is to become of the run, and see to that. Whether it turns out to have ended without us."""
    try:
        answer = _asked_to_cancel()
        if answer is False and _has_ended(run):
            say(f"Run {run.databricks_run_id} on Databricks has ended meanwhile.")
            return True
    except KeyboardInterrupt:
        _leave(run)
        raise
    if answer:
        return _cancel(run)
    _leave(run)
    return False


def _asked_to_cancel() -> bool | None:
    """Whether the run is to be cancelled. None if nobody is there who says so, or they do not want to be asked.

    Raises:
        Ended: The process is told to end meanwhile.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    say()
    try:
        return click.confirm(_QUESTION, default=False, err=True)
    except click.Abort as abort:  # Ctrl-C once more, or the end of the input
        # Click takes every interrupt for Ctrl-C.
        if isinstance(abort.__context__, Ended):
            raise abort.__context__ from None
        say()
        return None
    except OSError:  # the terminal was closed
        return None


def _has_ended(run: DatabricksRun) -> bool:
    """Look at the run once more: people take their time to answer, and the poll loop does too."""
    with contextlib.suppress(MlpError):
        if run.outcome is None and run.trouble is None:
            run.state()
        # Of one that has ended, this waits for its record.
        run.get_status()
    return run.outcome is not None


def _cancel(run: DatabricksRun) -> bool:
    """Cancel the run. Whether it had ended before."""
    say(f"Cancelling run {run.databricks_run_id}…")
    try:
        run.cancel()
    except KeyboardInterrupt:
        if run.asked_to_end:
            say("\nThe run was asked to end; nobody waits for that any more.")
        else:
            say("\nThe workspace could not be asked yet to end the run.")
            _leave(run)
        raise
    except MlpError as error:
        say(f"Error: {error}")
        _leave(run)
        return False
    outcome = run.outcome
    ended_before = outcome is not None and outcome.status != "KILLED"
    word = "had ended before it was cancelled" if ended_before else "was cancelled"
    say(f"Run {run.databricks_run_id} on Databricks {word}.")
    return ended_before


def _leave(run: DatabricksRun) -> None:
    say(f"\nDetached from run {run.databricks_run_id} on Databricks, which goes on.")
    tell_ways_on(run)


def tell_ways_on(run: DatabricksRun) -> None:
    """Say what can be done with a run that nobody waits for."""
    for line in ways_on(run):
        say(line)
