"""Again and again, but not for ever: calls that a network or a busy server made fail.

Knows nothing of what is called. What may be repeated safely, the caller decides.
"""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mlp.errors import TrackingUnavailable, WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Patience", "Unanswered", "persist"]

_Result = TypeVar("_Result")


class Unanswered(TrackingUnavailable):
    """One attempt has failed, and another one may not.

    Attributes:
        after: How many seconds the server asked to be left alone.
    """

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try: whatever is over first."""

    attempts: int
    seconds: float
    pause: float = 0.5
    longest_pause: float = 8.0

    def before(self, attempt: int) -> float:
        """How long to wait before an attempt (the second is 2). Random, so that many clients do not march in step."""
        longest = min(self.pause * 2.0 ** (attempt - 2), self.longest_pause)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- nothing secret


def persist(
    call: Callable[[], _Result],
    patience: Patience,
    *,
    failure: type[Unanswered | WorkspaceUnavailable] = Unanswered,
    sleep: Callable[[float], object] = time.sleep,
) -> _Result:
    """Call until it works.

    Args:
        call: What is called.
        patience: How often, and for how long.
        failure: What says that another attempt may help; anything else is passed on.
        sleep: Waits so many seconds.

    Raises:
        Unanswered: Or what `failure` names. The patience is over; this is the last attempt's error.
    """
    until = time.monotonic() + patience.seconds
    for attempt in itertools.count(2):
        try:
            return call()
        except failure as error:
            pause = max(patience.before(attempt), error.after)
            if attempt > patience.attempts or time.monotonic() + pause > until:
                raise
        sleep(pause)
    raise AssertionError  # pragma: no cover -- itertools.count has no end
