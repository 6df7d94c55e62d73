"""Starting runs on this machine, in the foreground or in the background."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mlp.backends.local.echo import Echo
from mlp.backends.local.execution import Execution
from mlp.backends.local.process import Ended, run_in_foreground
from mlp.backends.local.submitted import ENDING, EndedRun, LocalRun, cancel_soon, cancel_with_us, leave
from mlp.errors import RunCancelled, RunFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from mlp.backends.local.request import Request

__all__ = ["run", "start"]

_ADVICE: Final = {
    125: " That is also a container engine's word for a container that could not be started: see what it said.",
    127: " That is bash's word for a program that is not on PATH.",
}
_log = logging.getLogger(__name__)


def start(request: Request) -> LocalRun:
    """Start a run in the background. What it writes is kept for `LocalRun.logs`.

    Raises:
        MlpError: The source, the project, a parameter or the environment file is wrong, or the tracking store does not
            answer. What goes wrong with data and the building of the environment is told by the run.
    """
    cancel_with_us()
    return LocalRun(Execution(request))


def run(request: Request, *, echo: bool = True, execution: Callable[[Request], Execution] = Execution) -> EndedRun:
    """Run a project and wait for it.

    Args:
        request: What is asked for.
        echo: Copy the command's output to ours where ours is no terminal, which brings it into notebooks, and keep its
            last lines for the error. Else the command writes to where we do.
        execution: Makes the run of the request, for those who record it otherwise.

    Raises:
        RunFailed: The command failed.
        MlpError: Anything else that is wrong: the source, the project, a parameter, data, the environment.
        KeyboardInterrupt: The command was interrupted.
        SystemExit: The process got SIGTERM or SIGHUP, which nobody else takes; with the command's own status, or
            128 + n before it was started.
    """
    if threading.current_thread() is not threading.main_thread():
        return _run_in_a_thread(execution(request))
    with _unwinding() as nobody_else, execution(request) as executed:
        run_id = executed.run_id
        ended = run_in_foreground(executed.prepare(), Echo.where_nobody_watches() if echo else None)
        executed.finish(_status(ended), told_to_end=ended.told_to_end)
    if ended.status == -signal.SIGINT:
        # As a shell does: a command that Ctrl-C ended takes with it whoever waited for it.
        raise KeyboardInterrupt
    if ended.status:
        failure = _failure(run_id, request.entry_point, ended)
        if ended.signalled in nobody_else:
            _log.error("%s", failure)
            cancel_soon()
            sys.exit(failure.status)
        raise failure
    _log.info("=== Run (ID '%s') succeeded ===", run_id)
    if ended.signalled in nobody_else:
        # The command had its work done, or saved it; the signal was for whoever waited for it all the same.
        cancel_soon()
        sys.exit(0)
    return EndedRun(run_id)


def _run_in_a_thread(execution: Execution) -> EndedRun:
    """Run and wait where no signal arrives: as a run in the background, which the program's end takes with it."""
    cancel_with_us()
    run = LocalRun(execution)
    for line in run.logs(follow=True):
        print(line, flush=True)  # noqa: T201 -- it is the command's
    if run.wait():
        _log.info("=== Run (ID '%s') succeeded ===", run.run_id)
        return EndedRun(run.run_id)
    if run.error is not None:
        raise run.error
    if run.get_status() == "KILLED" or run.exit_status is None:
        raise RunCancelled(f"Run (ID '{run.run_id}') was cancelled.")
    raise _failure(run.run_id, execution.request.entry_point, Ended(run.exit_status, 0, None, run.last_lines()))


def _status(ended: Ended) -> str:
    if ended.status == 0:
        # Told to end or not: it says that it has done its work.
        return "FINISHED"
    return "KILLED" if ended.signalled or ended.status == -signal.SIGINT else "FAILED"


def _failure(run_id: str, entry_point: str, ended: Ended) -> RunFailed:
    status = ended.status
    if status > 0:
        advice = _ADVICE.get(status, "")
        said = f"entry point {entry_point} ended with exit status {status}.{advice}"
    else:
        name = signal.Signals(-status).name
        unasked = -status == signal.SIGKILL and not ended.signalled
        reason = " That is how the system ends a process when memory runs out." if unasked else ""
        said = f"entry point {entry_point} was ended by {name}.{reason}"
    shown = "\n  ".join(("\nIts last lines:", *ended.last_lines)) if ended.last_lines else ""
    return RunFailed(
        f"Run (ID '{run_id}') failed: {said}{shown}",
        status=128 - status if status < 0 else status,
        last_lines=ended.last_lines,
    )


@contextmanager
def _unwinding() -> Iterator[frozenset[int]]:
    """Turn signals that would end the process at once into SystemExit, so that the run's record is written.

    Gives the signals for which that is so. While the command runs they are its own.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            # The handler that runs in the background have set is our own, too.
            if (handler := signal.getsignal(number)) in {signal.SIG_DFL, leave}:
                before[number] = handler
                signal.signal(number, _leave)
    try:
        yield frozenset(before)
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # Two often come at once: timeout(1) signals its command, and then the command's group. The second one must not cut
    # what the first one has to be recorded with.
    for each in ENDING:
        if signal.getsignal(each) is _leave:
            signal.signal(each, signal.SIG_IGN)
    leave(number, frame)
    sys.exit(128 + number)
