"""Signals that end a process without a word, made to end a piece of work as Ctrl-C does: with its own last words."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Ended", "as_interrupts"]


class Ended(KeyboardInterrupt):
    """A signal that means the same as Ctrl-C to whoever waits or has something to undo."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


@contextlib.contextmanager
def as_interrupts() -> Iterator[None]:
    """Have SIGTERM and SIGHUP interrupt the block, unless somebody takes them already.

    Raises:
        SystemExit: One of them came; the status is that of the signal.
    """
    taken = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    except Ended as ended:
        raise SystemExit(ended.status) from None
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: object) -> None:
    raise Ended(number)
