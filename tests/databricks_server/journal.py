"""What the double was asked, by whom and when: for tests that count."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

__all__ = ["Journal", "Request"]


@dataclass
class Request:
    """A request. Whether it carried a credential shows in who asked; the credential itself is not kept."""

    method: str
    path: str
    """Without what follows the question mark."""
    query: str
    at: float
    """Seconds of a clock that only goes forward."""
    identity: str | None = None
    status: int | None = None
    """None: nothing was answered."""
    fault: str | None = None
    user_agent: str = ""


class Journal:
    """All requests, in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def begin(self, method: str, path: str, query: str, user_agent: str) -> Request:
        with self._lock:
            request = Request(method, path, query, time.monotonic(), user_agent=user_agent)
            self._requests.append(request)
        return request

    def requests(self, method: str | None = None, path: str = "") -> list[Request]:
        """Requests with this method whose path contains a text."""
        with self._lock:
            return [each for each in self._requests if method in {None, each.method} and path in each.path]

    def count(self, method: str | None = None, path: str = "") -> int:
        return len(self.requests(method, path))

    def by_second(self, method: str | None = None, path: str = "") -> dict[int, int]:
        """How many requests came in each second of the clock."""
        seconds: dict[int, int] = {}
        for each in self.requests(method, path):
            seconds[int(each.at)] = seconds.get(int(each.at), 0) + 1
        return seconds

    def most_in_a_second(self, method: str | None = None, path: str = "") -> int:
        """The most requests that came within any one second."""
        times = [each.at for each in self.requests(method, path)]
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 1:
                first += 1
            most = max(most, last - first + 1)
        return most

    def clear(self) -> None:
        with self._lock:
            self._requests.clear()
