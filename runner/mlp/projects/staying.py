"""Staying with a run on Databricks until it has ended: its stages are logged, and what it wrote is printed at the end.

One place for programs and for the command line, so that both show the same, once. What an interruption means is the
caller's to say.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

from mlp.errors import MlpError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.backends.databricks.states import RunState
    from mlp.backends.databricks.submitted import DatabricksRun

__all__ = ["print_output", "raise_for_run", "stay_with", "wait_for_databricks", "ways_on"]

_log = logging.getLogger(__name__)


def wait_for_databricks(run: DatabricksRun) -> DatabricksRun:
    """Wait until a run has ended, print what it wrote, and give it back if it has succeeded.

    Raises:
        RunFailed: Its command failed.
        RunError: It failed otherwise, or was cancelled; or its state could not be read for too long.
        KeyboardInterrupt: The waiting was interrupted; the run goes on.
    """
    try:
        stay_with(run)
    except KeyboardInterrupt:
        _log.warning("Run %s on Databricks goes on.\n%s", run.databricks_run_id, "\n".join(ways_on(run)))
        raise
    print_output(run)
    raise_for_run(run)
    _log.info("=== Run (ID '%s') succeeded ===", run.run_id)
    return run


def stay_with(run: DatabricksRun) -> None:
    """Wait until a run has ended, and log its stages.

    Raises:
        WaitTimedOut: Its state could not be read for too long. The run goes on.
    """
    said = ""
    for state in run.states():
        if (line := _described(run, state)) != said:
            _log.info("%s", line)
            said = line


def print_output(run: DatabricksRun) -> None:
    """Print what a run that has ended wrote to sys.stdout, and where in the project its error is to sys.stderr."""
    try:
        output = run.output()
    except MlpError as error:
        _log.warning("The run's output cannot be read: %s", error)
        return
    if output is None:
        return
    if output.truncated:
        _log.warning("The beginning of the output is missing: Databricks keeps the end of a log.")
    # As it is: a last line without its end stays one.
    _write(sys.stdout, output.log)
    if (place := output.place) is not None:
        _write(sys.stderr, f"{place}\n")


def raise_for_run(run: DatabricksRun) -> None:
    """Do nothing for a run that has succeeded.

    Raises:
        RunFailed: Its command failed; with the exit status and the last lines, where Databricks tells of them.
        RunError: It failed otherwise, or was cancelled.
    """
    if run.error is not None:
        raise run.error


def ways_on(run: DatabricksRun) -> Iterator[str]:
    """What can be done with a run that nobody waits for any more, in a line each."""
    if run.url:
        yield f"  Look at it:  {run.url}"
    yield f"  End it:      databricks jobs cancel-run {run.databricks_run_id}  (the Databricks CLI)"


def _described(run: DatabricksRun, state: RunState) -> str:
    from mlp.backends.databricks.states import Life  # noqa: PLC0415 -- it is there since the submission

    life = state.life.value if state.life is not None else state.words or "in a state that this version does not know"
    # That it runs needs no more words, and how it ended is the error's to say, at the end.
    waits = state.life in {Life.QUEUED, Life.PENDING}
    message = f": {state.message}" if state.message and waits else ""
    return f"Run {run.databricks_run_id} on Databricks: {life}{message}"


def _write(place: TextIO | None, text: str) -> None:
    if place is None or not text:  # programs without a console have no outputs
        return
    encoding = getattr(place, "encoding", None) or "utf-8"
    place.write(text.encode(encoding, "replace").decode(encoding))
    place.flush()
