"""What goes wrong between a client and the double, before a request has had its effect or after."""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "Fault", "Faults"]

KINDS = ("drop", "hang", "429", "500", "503", "slow", "drip")
"""The connection is cut; nothing is answered until `let_go`; these statuses; an answer late, or byte by byte."""
ANSWERS = {
    "429": (429, "REQUEST_LIMIT_EXCEEDED", "Current request rate has exceeded the limit. Try again later."),
    "500": (500, "INTERNAL_ERROR", "The server encountered an internal error."),
    "503": (503, "TEMPORARILY_UNAVAILABLE", "The service at this path is temporarily unavailable."),
}


@dataclass
class Fault:
    """One way to fail.

    Attributes:
        kind: One of `KINDS`.
        method: The requests that it happens to; None for any.
        path: A regular expression that their paths contain.
        after: Whether the request has its effect all the same, and only its answer is lost.
        times: How often; None for always.
        skip: How many requests it lets pass first.
        probability: How often it happens to a request that it fits.
        seconds: How long: for hang (None: until `let_go`), slow and drip; for 429 and 503 what Retry-After says.
        status: Another status than the kind's.
    """

    kind: str
    method: str | None = None
    path: str = ""
    after: bool = False
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seconds: float | None = None
    status: int | None = None

    def fits(self, method: str, path: str) -> bool:
        return self.method in {None, method} and re.search(self.path, path) is not None


class Faults:
    """The plan. It may be changed while the server runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plan: list[Fault] = []
        self._chance: random.Random | None = None
        self._odds = random.Random(0)
        self._rate = 0.0
        self._kinds: tuple[str, ...] = ()
        self._path = ""
        self._longest = 0.0
        self._let_go = threading.Event()
        self.done: list[tuple[str, str, str]] = []
        """What has happened: the kind with "before" or "after", the method, the path."""

    def add(self, kind: str, path: str = "", **options: Any) -> Fault:
        """Plan a fault (the fields of `Fault`)."""
        if kind not in KINDS:
            raise ValueError(f"{kind} is no fault; there are {', '.join(KINDS)}")
        fault = Fault(kind, path=path, **options)
        with self._lock:
            self._plan.append(fault)
        return fault

    def random(
        self, seed: int, rate: float, *, kinds: tuple[str, ...] = KINDS, path: str = "", longest: float = 0.2
    ) -> None:
        """Let this share of all requests fail in some way, the same way for the same seed and requests.

        Args:
            seed: Of the chance.
            rate: From 0 to 1.
            kinds: What may happen.
            path: A regular expression for the paths that it happens to.
            longest: Seconds that a hang, a slow answer or Retry-After lasts at most.
        """
        with self._lock:
            self._chance, self._rate = random.Random(seed), rate
            self._kinds, self._path, self._longest = tuple(kinds), path, longest

    def clear(self) -> None:
        """Let nothing go wrong any more, and let go of what hangs."""
        with self._lock:
            self._plan.clear()
            self._chance = None
        self.let_go()

    def let_go(self) -> None:
        """End what hangs: its connections are cut."""
        with self._lock:
            self._let_go.set()
            self._let_go = threading.Event()

    def of(self, method: str, path: str) -> Fault | None:
        """What goes wrong with a request."""
        with self._lock:
            fault = self._planned(method, path) or self._drawn(path)
            if fault is not None:
                self.done.append((f"{fault.kind} {'after' if fault.after else 'before'}", method, path))
            return fault

    def wait(self, seconds: float | None) -> None:
        """Hang."""
        with self._lock:
            event = self._let_go
        event.wait(seconds)

    def _planned(self, method: str, path: str) -> Fault | None:
        for fault in self._plan:
            if not fault.fits(method, path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.probability < 1 and self._odds.random() >= fault.probability:
                continue
            if fault.times is not None:
                fault.times -= 1
                if not fault.times:
                    self._plan.remove(fault)
            return fault
        return None

    def _drawn(self, path: str) -> Fault | None:
        if self._chance is None or self._chance.random() >= self._rate or not re.search(self._path, path):
            return None
        kind = self._chance.choice(self._kinds)
        return Fault(kind, after=self._chance.random() < 0.5, seconds=self._chance.random() * self._longest)
