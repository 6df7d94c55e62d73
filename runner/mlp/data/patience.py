"""How long to go on trying what fails for a reason that may pass: the network, a server that is busy.

The pauses grow, and differ a little each time, so that a thousand runs that met the same outage do not come back at the
same moment. What a server asks for (Retry-After) is obeyed within reason.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

from mlp.data.origin import Changed, Later
from mlp.errors import DataUnavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

__all__ = ["TRIES", "StoppedError", "patiently", "pause"]

# Seconds before each further try.
_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
TRIES: Final = 1 + len(_PAUSES)
"""How often something is tried that never succeeds."""

_LONGEST: Final = 30.0

Result = TypeVar("Result")


class StoppedError(Exception):
    """The transfer has ended otherwise; what was still to be done is not wanted any more."""


def pause(failures: int, error: DataUnavailable, stopped: threading.Event | None) -> None:
    """Wait before the next try.

    Args:
        failures: How many tries have failed without bringing anything; at least 1, less than `TRIES`.
        error: The last one's; it may say how long to wait.
        stopped: Ends the waiting.

    Raises:
        StoppedError: The event was set.
    """
    seconds = _PAUSES[failures - 1] * random.uniform(0.75, 1.25)  # noqa: S311 -- no secret hangs on it
    if isinstance(error, Later):
        seconds = max(seconds, min(error.seconds, _LONGEST))
    if stopped is None:
        time.sleep(seconds)
    elif stopped.wait(seconds):
        raise StoppedError


def patiently(action: Callable[[], Result], stopped: threading.Event | None = None) -> Result:
    """Do something, again and again while what hinders it is temporary.

    Raises:
        DataError: It did not go, or not in time.
        StoppedError: The event was set meanwhile.
    """
    failures = 0
    while True:
        try:
            return action()
        except Changed:
            raise
        except DataUnavailable as error:
            failures += 1
            if failures >= TRIES:
                raise
            pause(failures, error, stopped)
