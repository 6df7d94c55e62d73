"""How the command line's exit status follows from an error.

The table is small on purpose: a shell script can tell a wrong call, a failed run, a cancelled one, missing credentials
and an environment that cannot be built apart, and nothing else needs telling. The steps in a pod have a finer one
(MlpError.exit_code), made for the Job's podFailurePolicy; the two must not be mixed.
"""

from __future__ import annotations

from enum import IntEnum

from mlp.errors import (
    AuthenticationFailed,
    EnvironmentInvalid,
    MlpError,
    PreparationError,
    RunCancelled,
    RunFailed,
    UsageError,
    WaitTimedOut,
)

__all__ = ["ExitStatus", "exit_status"]


class ExitStatus(IntEnum):
    """What ``mlp`` ends with. ``mlp run`` ends with its command's own status instead, when that one failed."""

    OK = 0
    FAILED = 1
    """The run failed, or could not be started."""
    USAGE = 2
    CANCELLED = 3
    """The run was cancelled, or a deadline passed."""
    AUTHENTICATION = 4
    ENVIRONMENT = 69
    """The project's environment cannot be built: EX_UNAVAILABLE of sysexits.h, as in a pod."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells have it."""


def exit_status(error: MlpError) -> int:
    """The exit status for an error that reached the command line."""
    match error:
        case RunFailed():
            return error.status
        case UsageError():
            return ExitStatus.USAGE
        case AuthenticationFailed():
            return ExitStatus.AUTHENTICATION
        case RunCancelled() | WaitTimedOut():
            return ExitStatus.CANCELLED
        case EnvironmentInvalid():
            return ExitStatus.FAILED
        case PreparationError():
            return ExitStatus.ENVIRONMENT
        case _:
            return ExitStatus.FAILED
