"""Bringing one file: its pieces into their places, the rest of a broken stream, and the check of the whole.

A file that several streams bring is checked by the worker that brings its last piece. One that arrives with other bytes
than are stored, or that is replaced while it is read, is brought again from its beginning, a few times. Knows nothing
of schemes and of how many workers there are.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from mlp.data.checks import Digests
from mlp.data.origin import Changed
from mlp.data.patience import TRIES, StoppedError, patiently, pause
from mlp.errors import DataCorrupt, DataInvalid, DataUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from mlp.data.checks import Check
    from mlp.data.origin import Item, Listing, Origin, Piece, Plan, Reply

__all__ = ["Arrivals", "Progress", "Task", "start"]

Progress: TypeAlias = Callable[[int, int | None, str], None]
"""Called now and then with the bytes that have arrived, the bytes in all if that is known, and what is downloaded."""

Task: TypeAlias = Callable[[], "list[Task]"]
"""Something for a worker, which gives what is to be done then."""

_log = logging.getLogger(__name__)

_WORTH: Final = 1 << 20  # a stream that brought so much before it broke counts as one that works
_ROUNDS: Final = 3  # how often a file is brought that arrives corrupt, or is replaced meanwhile


class Arrivals:
    """What all workers of one transfer share."""

    def __init__(self, origin: Origin, listing: Listing, target: Path) -> None:
        self.origin = origin
        self.target = target
        self.alone = len(listing.items) == 1
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.total: int | None = None
        self._done = 0
        self._unchecked = False
        if all(item.size is not None for item in listing.items):
            self.total = sum(item.size or 0 for item in listing.items)

    def look(self) -> None:
        """Raise StoppedError if nothing more is wanted."""
        if self.stopped.is_set():
            raise StoppedError

    def stop(self) -> None:
        """Let nobody make a file any more."""
        with self.lock:
            self.stopped.set()

    def count(self, number: int) -> None:
        """So many bytes more are there; or fewer."""
        with self.lock:
            self._done += number

    def report(self, progress: Progress | None) -> None:
        """Tell how far things are."""
        if progress is not None:
            progress(self._done, self.total, self.origin.shown)

    def named(self, item: Item) -> str:
        """An item for people."""
        return f"{item.path!r} of {self.origin.shown}" if item.path else self.origin.shown

    def say_unchecked(self) -> None:
        """Say once that there is something that nobody can check."""
        with self.lock:
            if self._unchecked:
                return
            self._unchecked = True
        _log.info("%s comes without a checksum that could be checked here; its length was.", self.origin.shown)


@dataclass(slots=True)
class _File:
    """One file on its way.

    Attributes:
        arrivals: Where it belongs to.
        item: What it is.
        path: Where it goes.
        plan: How it is brought.
        round: How often it was begun.
        left: Pieces that are not there yet.
        check: What its bytes have to be, once that is known.
        digests: Of each piece that is there.
        arrived: Bytes that count as done.
        spoiled: Why all of it has to be brought again.
    """

    arrivals: Arrivals
    item: Item
    path: Path
    plan: Plan
    round: int
    left: int
    check: Check | None
    digests: dict[int, list[tuple[bytes, int]]] = field(default_factory=dict)
    arrived: int = 0
    spoiled: DataUnavailable | DataCorrupt | None = None

    def count(self, number: int) -> None:
        self.arrivals.count(number)
        self.arrived += number  # under no lock of its own: read only when nobody writes any more


def start(arrivals: Arrivals, item: Item, round_: int) -> list[Task]:
    """Begin a file: a task. Gives the tasks that bring its pieces, or brings it if there is but one."""
    try:
        plan = patiently(lambda: arrivals.origin.plan(item), arrivals.stopped)
    except Changed:
        if round_ >= _ROUNDS:
            raise
        return [partial(start, arrivals, item, round_ + 1)]
    path = arrivals.target / item.path if item.path else arrivals.target
    with arrivals.lock:
        arrivals.look()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            raise DataInvalid(
                f"{arrivals.origin.shown} has two names that are one to the file system here, one is {item.path!r}."
            ) from None
    file = _File(arrivals, item, path, plan, round_, left=len(plan.pieces), check=plan.check)
    if len(plan.pieces) == 1:
        return _bring(file, 0)
    return [partial(_bring, file, number) for number in range(len(plan.pieces))]


def _bring(file: _File, number: int) -> list[Task]:
    """Bring one piece: a task. Whoever brings the last one sees to the whole."""
    arrivals = file.arrivals
    if file.spoiled is None:
        try:
            digests = _receive(file, file.plan.pieces[number])
            with arrivals.lock:
                file.digests[number] = digests
        except (Changed, DataCorrupt) as error:
            file.spoiled = error
    with arrivals.lock:
        file.left -= 1
        if file.left:
            return []
    why = file.spoiled or _examine(file)
    if why is None:
        return []
    if file.round >= _ROUNDS:
        raise why
    with arrivals.lock:
        arrivals.look()
        file.path.unlink()
    arrivals.count(-file.arrived)
    _log.warning("Bringing %s again from its beginning: %s", arrivals.named(file.item), why)
    return [partial(start, arrivals, file.item, file.round + 1)]


def _examine(file: _File) -> DataUnavailable | DataCorrupt | None:
    """What is wrong with a file whose bytes have all arrived."""
    arrivals = file.arrivals
    if file.check is None:
        arrivals.say_unchecked()
    else:
        digests = [digest for number in sorted(file.digests) for digest in file.digests[number]]
        if not file.check.accepts(digests, file.path):
            return DataCorrupt(
                f"{arrivals.named(file.item)} arrived with other bytes than are stored: they do not fit "
                f"{file.check.source}. Something on the way changes what passes, or the stored object is damaged."
            )
    try:
        patiently(lambda: arrivals.origin.confirm(file.item, file.plan.version), arrivals.stopped)
    except Changed as error:
        return error
    return None


def _receive(file: _File, piece: Piece) -> list[tuple[bytes, int]]:
    """Write a stream to its place, asking for the rest where it breaks. Gives the digests of its parts."""
    arrivals, item = file.arrivals, file.item
    at = before = piece.begin
    version = file.plan.version
    digests: Digests | None = None
    failures = 0
    with file.path.open("r+b", buffering=0) as target:
        while True:
            arrivals.look()
            try:
                with arrivals.origin.read(item, version, at, piece.end) as reply:
                    if reply.begin != at:
                        at, digests = _restart(file, piece, at), None
                        target.truncate(at)
                    target.seek(at)
                    digests = digests or _begin(file, piece, reply)
                    version = reply.version or version
                    for block in reply.blocks:
                        arrivals.look()
                        if piece.end is not None and at + len(block) > piece.end:
                            raise _too_much(arrivals.named(item))
                        _write(target.write, block)
                        digests.update(block)
                        at += len(block)
                        file.count(len(block))
                _expect(reply.end if piece.end is None else piece.end, at, named=arrivals.named(item))
            except Changed:
                raise
            except DataUnavailable as error:
                failures = 1 if at - before >= _WORTH else failures + 1
                before = at
                if failures >= TRIES:
                    raise
                _log.info("Asking again for %s, from byte %d: %s", arrivals.named(item), at, error)
                pause(failures, error, arrivals.stopped)
            else:
                return digests.close()


def _expect(end: int | None, at: int, *, named: str) -> None:
    if end is not None and at != end:
        raise DataUnavailable(f"{named} ended after {at} of {end} bytes.")


def _too_much(named: str) -> Changed:
    return Changed(f"{named} is longer than it was said to be.")


def _restart(file: _File, piece: Piece, at: int) -> int:
    """The stream begins at the beginning although a later place was asked for."""
    if len(file.plan.pieces) > 1:
        raise Changed(f"{file.arrivals.named(file.item)} cannot be read in pieces any more.")
    file.count(piece.begin - at)
    return piece.begin


def _begin(file: _File, piece: Piece, reply: Reply) -> Digests:
    whole = len(file.plan.pieces) == 1
    if whole:
        file.check = file.plan.check or reply.check
        if file.arrivals.alone and reply.end is not None:
            file.arrivals.total = reply.end
    useful = file.check is not None and (whole or file.check.in_pieces)
    return Digests(file.check if useful else None, piece.begin, piece.ends)


def _write(write: Callable[[memoryview], int | None], block: bytes) -> None:
    data = memoryview(block)
    while data:
        data = data[write(data) or 0 :]
