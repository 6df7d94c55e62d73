"""An HTTP proxy before the API server that can kill its client at a chosen request: before it, or after its effect."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import ssl
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import aiohttp
import yaml
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

Moment = Literal["before", "after"]


class Interception:
    """Forwards everything to an API server; counts requests about namespaced objects, watches apart.

    Use as a context manager. ``kubeconfig`` leads to the proxy.

    Args:
        kubeconfig: Whose credentials are used.
        target: The API server's URL, as it is reached from where the proxy listens.
        directory: Where the kubeconfig goes.
        go: Called first in the proxy's thread: enters the network where it shall listen and connect.
    """

    def __init__(self, kubeconfig: Path, target: str, directory: Path, go: Callable[[], None]) -> None:
        self._target, self._tls, self._go = target, _read(kubeconfig), go
        self._directory = directory
        self._lock = threading.Lock()
        self._victim: int | None = None
        self._deadly = 0
        self._moment: Moment = "before"
        self.requests: list[str] = []
        self.watches = 0
        self.killed_at: str | None = None
        self.kubeconfig = directory / "kubeconfig"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def arm(self, victim: int, number: int, moment: Moment) -> None:
        """Kill a process at its n-th request from now on."""
        with self._lock:
            self._victim, self._deadly, self._moment = victim, len(self.requests) + number, moment

    def _run(self) -> None:
        self._go()
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "users": [{"name": "proxy", "user": {}}],
                    "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
                    "current-context": "proxy",
                }
            )
        )
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0), timeout=timeout, auto_decompress=False
        ) as self._session:
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()
        await _close_all()

    def _kills(self, moment: Moment, number: int, name: str) -> bool:
        with self._lock:
            if self._victim is None or moment != self._moment or number != self._deadly:
                return False
            os.kill(self._victim, signal.SIGKILL)
            self._victim, self.killed_at = None, f"{moment} {name}"
            return True

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        watch, about_objects = "watch" in request.query, "/namespaces/" in request.path
        name = f"{request.method} {request.path}"
        with self._lock:
            if watch:
                self.watches += 1
            elif about_objects:
                self.requests.append(name)
            number = len(self.requests) if about_objects and not watch else -1
        if self._kills("before", number, name):
            raise web.HTTPBadGateway
        headers = {key: value for key, value in request.headers.items() if key.lower() not in ("host", "connection")}
        body = await request.read()
        async with self._session.request(
            request.method, f"{self._target}{request.path_qs}", headers=headers, data=body or None
        ) as answer:
            if not watch:
                content = await answer.read()
                if self._kills("after", number, name):
                    raise web.HTTPBadGateway
                kept = {
                    key: answer.headers[key] for key in ("Content-Type", "Content-Encoding") if key in answer.headers
                }
                return web.Response(status=answer.status, body=content, headers=kept)
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            except (ConnectionError, aiohttp.ClientError):
                pass
            return response


async def _close_all() -> None:
    """Close what is left: TLS would say goodbye first, and the loop ends sooner than the answer comes.

    Only the loop itself still knows the connection of a request that was cancelled.
    """
    loop: Any = asyncio.get_running_loop()
    for transport in list(loop._transports.values()):
        transport.abort()
    await asyncio.sleep(0.01)  # they are closed in the loop's next round


def _read(kubeconfig: Path) -> ssl.SSLContext:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.TemporaryDirectory() as directory:
        pair = []
        for key in ("client-certificate-data", "client-key-data"):
            path = Path(directory, key)
            path.write_bytes(base64.b64decode(user[key]))
            pair.append(str(path))
        context.load_cert_chain(*pair)
    return context
