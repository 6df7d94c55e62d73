"""One loop for all runs of a workspace that somebody waits for, which tells each of them what is new.

A thread that is there while anything is followed. What to ask in a round is `rounds`' to say, what an answer means
`states`'. Knows nothing of who follows, and never takes an outage for a run's end.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.databricks.rounds import Listing, due, pages_worth, pause
from mlp.backends.databricks.states import Life, RunState, state_of
from mlp.errors import WorkspaceError, WorkspaceNotFound, WorkspaceUnavailable
from mlp.tracking.retrying import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mlp.backends.databricks.workspace import Workspace

__all__ = ["Poller", "Sighting"]

logger = logging.getLogger(__name__)

PERIOD: Final = 10.0
_SOON: Final = 1.0
"""Seconds after which a new run is looked at, in a period of ten; in others, accordingly."""
_LINGERING: Final = 5.0
"""Seconds for which the thread stays though nothing is followed."""
_PATIENCE: Final = Patience(attempts=3, seconds=30.0)
"""For one question; the next round is the next attempt."""
_SIDE_BY_SIDE: Final = 4
_FOR_ONE: Final = 8
"""Runs that one thread asks for before another one helps."""
_ENOUGH: Final = 3
"""Failures in a row after which a round is given up."""
_CERTAIN: Final = 2
"""Times that a run is not there before it is gone: what has just been submitted may not be known everywhere."""
_TOO_MANY: Final = 1 << 30
"""Pages that are never worth it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is new of a run.

    Attributes:
        state: What was last seen of it; None if nothing ever was.
        gone: Whether the workspace does not know the run (any more). It is not followed then.
        trouble: Why it cannot be looked at; None while it can.
        at: When that was found out.
    """

    state: RunState | None
    gone: bool
    trouble: WorkspaceError | None
    at: datetime


@dataclass(slots=True, eq=False)
class _Followed:
    """A run that is followed. Only the round that it is asked for in changes it, and whoever holds the lock."""

    run_id: int
    told: Callable[[Sighting], None]
    next_at: float
    seen: RunState | None = None
    trouble: WorkspaceError | None = None
    absences: int = 0


@dataclass(slots=True)
class _Round:
    """What is left to ask in a round, and how that goes."""

    left: deque[_Followed]
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: int = 0
    failures: int = 0
    """In a row."""
    last: WorkspaceError | None = None
    error: WorkspaceError | None = None
    """Why the round was given up."""


class Poller:
    """Looks after runs. Safe for use by many threads.

    Attributes:
        rounds: How many rounds there were.
        failures: How many of them were given up.
    """

    def __init__(self, workspace: Workspace, *, period: float = PERIOD) -> None:
        """Nothing happens yet.

        Args:
            workspace: Whom to ask.
            period: Seconds between two looks at a run, more or less: pollers that were started together drift apart.
        """
        self.rounds = 0
        self.failures = 0
        self._workspace = workspace
        self._period = period
        self._changed = threading.Condition()
        self._followed: dict[int, _Followed] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._own = threading.local()
        # Only the thread has these.
        self._listing: Listing | None = None
        self._failures_in_a_row = 0
        self._quiet_until = 0.0

    @property
    def following(self) -> int:
        """How many runs are followed."""
        return len(self._followed)

    def follow(self, run_id: int, told: Callable[[Sighting], None]) -> None:
        """Tell what is new of a run, from what is found first until it has ended, is gone, or is left.

        Args:
            run_id: The run. If it is followed already, `told` takes the other's place.
            told: Is told of changes, of trouble when it begins and when it is over; in another thread, and quickly.
        """
        with self._changed:
            if self._closed:
                return
            soon = min(_SOON, self._period / 10) * random.uniform(0.5, 1.0)  # noqa: S311 -- nothing secret
            self._followed[run_id] = _Followed(run_id, told, time.monotonic() + soon)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="mlp-databricks-poller", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def leave(self, run_id: int) -> None:
        """Follow a run no longer. One more sighting may be under way."""
        with self._changed:
            self._followed.pop(run_id, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Follow nothing any more, for good. Aborts the workspace if that does not answer a question under way."""
        with self._changed:
            self._closed = True
            self._followed.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is None or getattr(self._own, "is_ours", False):
            return
        thread.join(1.0)
        if thread.is_alive():
            self._workspace.abort()
            thread.join(5.0)

    def _work(self) -> None:
        self._own.is_ours = True
        while True:
            with self._changed:
                found = self._due()
                if found is None:
                    self._thread = None
                    return
            try:
                if found:
                    self._look_after(found)
            except Exception:
                # Whatever it is, those who follow must not wait for ever.
                logger.exception("A look at the runs of %s was broken off.", self._workspace.host)
                self._quiet_until = time.monotonic() + self._period

    def _due(self) -> tuple[_Followed, ...] | None:
        """What is to be looked after, at a moment when something may be; None at the end. Holds the lock."""
        if self._closed:
            return None
        if not self._followed:
            self._changed.wait(_LINGERING)
            return () if self._followed and not self._closed else None
        now = time.monotonic()
        times = {run_id: max(each.next_at, self._quiet_until) for run_id, each in self._followed.items()}
        if found := due(times, now, self._period / 4):
            return tuple(self._followed[run_id] for run_id in found)
        self._changed.wait(min(times.values()) - now)
        return ()

    def _look_after(self, found: Collection[_Followed]) -> None:
        self.rounds += 1
        begun = time.monotonic()
        # Who is in trouble comes last, so that the others are not given up with them.
        this = _Round(deque(sorted(found, key=lambda each: each.trouble is not None)))
        asked = self._list(this)
        self._ask(this)
        if not this.answers:
            this.error = this.error or this.last  # few runs, and none of them could be looked at
        # Every run of the round at the same moment again, or they would have a round each in the end.
        again = max(begun + self._period * random.uniform(0.85, 1.15), time.monotonic() + self._period / 10)  # noqa: S311
        sooner = time.monotonic() + self._period / 10
        for each in {*found, *asked}:
            each.next_at = sooner if each.absences else again
        self._end(this)

    def _end(self, this: _Round) -> None:
        if this.error is None:
            self._failures_in_a_row = 0
            return
        self.failures += 1
        for each in this.left:
            self._tell_trouble(each, this.error)
        after = this.error.after if isinstance(this.error, WorkspaceUnavailable) else 0.0
        if this.answers and not after:
            self._failures_in_a_row = 0  # it answers, if not to all: the next round is at the usual time
            return
        self._failures_in_a_row += 1
        self._quiet_until = time.monotonic() + pause(self._failures_in_a_row, after, self._period)

    def _list(self, this: _Round) -> list[_Followed]:
        """See who is active, if that is worth it.

        Returns:
            Whom it found. They are left to ask no more.
        """
        last = self._listing
        if last is not None:
            last = self._listing = Listing(last.pages, last.rounds + 1)
        pages = pages_worth([each.run_id for each in this.left], last)
        if not pages:
            return []
        with self._changed:
            followed = dict(self._followed)
        wanted = {each.run_id for each in this.left}
        found: dict[int, _Followed] = {}
        taken = 0
        try:
            for page in self._workspace.active_pages(patience=_PATIENCE):
                taken += 1
                this.answers += 1
                if taken > pages:
                    break  # others have too many
                for run in page:
                    each = followed.get(run.get("run_id", 0))
                    if each is not None and self._see_active(each, run):
                        found[each.run_id] = each
                if self._closed or wanted <= found.keys():
                    break
        except WorkspaceUnavailable as error:
            this.error = error
        except WorkspaceError as error:
            # Not every identity may list what others run.
            logger.info("Runs are asked for one by one: %s", error)
            taken = _TOO_MANY
        self._listing = Listing(taken)
        this.left = deque(each for each in this.left if each.run_id not in found)
        return list(found.values())

    def _see_active(self, each: _Followed, run: Mapping[str, Any]) -> bool:
        state = state_of(run)
        if state.life is Life.ENDED:
            return False  # it ended just now, and has more to tell
        self._tell_state(each, state)
        return True

    def _ask(self, this: _Round) -> None:
        """Ask for each run that is left."""
        helpers = min(_SIDE_BY_SIDE, math.ceil(len(this.left) / _FOR_ONE)) - 1
        threads = [
            threading.Thread(target=self._ask_on, args=(this,), name="mlp-databricks-poller", daemon=True)
            for _ in range(helpers)
        ]
        for thread in threads:
            thread.start()
        self._ask_on(this)
        for thread in threads:
            thread.join()

    def _ask_on(self, this: _Round) -> None:
        self._own.is_ours = True
        while this.error is None and not self._closed:
            try:
                each = this.left.popleft()
            except IndexError:
                return
            try:
                run = self._workspace.run(each.run_id, patience=_PATIENCE)
            except WorkspaceNotFound:
                self._count(this, None)
                self._tell_absence(each)
            except WorkspaceError as error:
                self._tell_trouble(each, error)
                self._count(this, error)
            except Exception as error:
                logger.exception("Run %d of %s could not be asked for.", each.run_id, self._workspace.host)
                trouble = WorkspaceError(f"Run {each.run_id} could not be asked for: {type(error).__name__}.")
                self._tell_trouble(each, trouble)
                self._count(this, trouble)
            else:
                self._count(this, None)
                self._tell_state(each, state_of(run))

    def _count(self, this: _Round, error: WorkspaceError | None) -> None:
        with this.lock:
            if error is None:
                this.answers, this.failures = this.answers + 1, 0
                return
            this.last, this.failures = error, this.failures + 1
            after = error.after if isinstance(error, WorkspaceUnavailable) else None
            # Where some may be looked at, those that may not must not hold them up.
            if after or (this.failures >= _ENOUGH and (after is not None or not this.answers)):
                this.error = error

    def _tell_state(self, each: _Followed, state: RunState) -> None:
        is_new = state != each.seen or each.trouble is not None
        each.seen, each.trouble, each.absences = state, None, 0
        if is_new:
            self._tell(each, last=state.life is Life.ENDED)

    def _tell_absence(self, each: _Followed) -> None:
        each.absences += 1
        if each.absences >= _CERTAIN:
            each.trouble = None
            self._tell(each, gone=True, last=True)

    def _tell_trouble(self, each: _Followed, error: WorkspaceError) -> None:
        is_new = type(error) is not type(each.trouble)
        each.trouble = error
        if is_new:
            self._tell(each)

    def _tell(self, each: _Followed, *, gone: bool = False, last: bool = False) -> None:
        with self._changed:
            if self._followed.get(each.run_id) is not each:
                return  # it was left, or somebody else follows it
            if last:
                del self._followed[each.run_id]
        try:
            each.told(Sighting(each.seen, gone, each.trouble, datetime.now(UTC)))
        except Exception:
            logger.exception("Who follows run %d could not be told what is new of it.", each.run_id)
