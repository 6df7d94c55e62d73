"""Is the operator alive, is it ready, and do its watches still deliver? Answers over HTTP, with the metrics.

A watch can die without a word: the connection stays, nothing comes. The only proof that it lives is that what a list
shows has also been delivered, so each periodic list is compared with what the watch of its kind has reached; a watch
that does not catch up within the grace time makes the liveness answer fail, and kubelet starts the operator anew.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from mlp_operator.machinery.cache import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlp_operator.machinery.cache import Object
    from mlp_operator.machinery.metrics import Metrics

__all__ = ["Freshness", "Health", "serve_health"]


class Freshness:
    """How far each watch has come, beside what lists have shown.

    Args:
        grace: Seconds that a watch may stay behind a list.
        clock: Seconds that only ever grow.
    """

    def __init__(self, *, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._reached: dict[str, int] = {}
        self._behind: dict[str, tuple[int, float]] = {}

    def delivered(self, kind: str, obj: Object) -> None:
        """The watch of a kind brought an object."""
        reached = self._reached[kind] = max(version_of(obj), self._reached.get(kind, 0))
        expected = self._behind.get(kind)
        if expected is not None and reached >= expected[0]:
            del self._behind[kind]

    def listed(self, kind: str, objects: Iterable[Object]) -> None:
        """A list of a kind showed these objects: the watch has to bring the newest of them in time."""
        newest = max((version_of(obj) for obj in objects), default=0)
        if newest > self._reached.get(kind, 0):
            # An older expectation that was not met keeps its clock.
            since = self._behind.get(kind, (0, self._clock()))[1]
            self._behind[kind] = (newest, since)

    def stale(self) -> list[str]:
        """The kinds whose watch did not catch up in time."""
        now = self._clock()
        return sorted(kind for kind, (_, since) in self._behind.items() if now - since > self._grace)


class Health:
    """What the operator says about itself.

    Args:
        freshness: Tells which watches are stale.
        resync_limit: Seconds after which the last list is too long ago.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self, freshness: Freshness, *, resync_limit: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._freshness = freshness
        self._resync_limit = resync_limit
        self._clock = clock
        self._resynced: float | None = None

    def resynced(self) -> None:
        """A list of everything has just replaced the cache."""
        self._resynced = self._clock()

    def problems(self) -> list[str]:
        """Why a new process would do better than this one; empty when all is well."""
        found = [f"the watch of {kind} does not deliver" for kind in self._freshness.stale()]
        if self._resynced is not None and (age := self._clock() - self._resynced) > self._resync_limit:
            found.append(f"the last full list is {age:.0f} s old")
        return found

    def ready(self) -> bool:
        """Whether the cache has been filled once."""
        return self._resynced is not None


async def serve_health(health: Health, metrics: Metrics, *, host: str, port: int) -> web.AppRunner:
    """Serve /healthz, /readyz and /metrics until the runner is cleaned up.

    Raises:
        OSError: The port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        problems = health.problems()
        return web.Response(text="\n".join(problems) or "ok", status=503 if problems else 200)

    async def readyz(_: web.Request) -> web.Response:
        ready = health.ready() and not health.problems()
        return web.Response(text="ok" if ready else "not ready", status=200 if ready else 503)

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
