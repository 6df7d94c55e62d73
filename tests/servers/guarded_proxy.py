"""An HTTP proxy in front of a real server, which asks for credentials, speaks TLS, and fails as it is told.

It knows nothing of the server behind it. It remembers what it was asked, and whether a request carried credentials,
never which.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "authorization", "content-length"}


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    credentials: bool
    status: int


@dataclass(frozen=True)
class Mishap:
    """What goes wrong with one request.

    Attributes:
        on: A part of the paths that it happens to.
        status: Answered instead of asking the server. None: the connection is cut.
        headers: Go with that answer.
        text: Its body.
        done: Whether the server gets the request all the same, and only its answer is lost.
        first: Called before the answer is lost.
    """

    on: str = ""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    text: str = "something went wrong"
    done: bool = False
    first: Callable[[], None] | None = None


class GuardedProxy(ThreadingHTTPServer):
    """The proxy. `authorization` is the only header value that it lets through, None lets all through."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, *, authorization: str | None = None, tls: ssl.SSLContext | None = None):
        self.target = target.removeprefix("http://")
        self.authorization = authorization
        self.tls = tls
        self.mishaps: list[Mishap] = []
        """Happen once each, in this order, to the requests that they fit."""
        self.always: Mishap | None = None
        self.host: str | None = None
        """The Host header that the server is sent; None: its own."""
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request, client_address):
        # In the connection's own thread: a client that does not finish its handshake must hold up nobody.
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            if self.tls is not None:
                request.close()

    def handle_error(self, request, client_address):
        """Broken connections and handshakes are what some tests are about."""

    def mishap(self, path: str) -> Mishap | None:
        with self.lock:
            for mishap in self.mishaps:
                if mishap.on in path:
                    self.mishaps.remove(mishap)
                    return mishap
        return self.always if self.always is not None and self.always.on in path else None

    def remember(self, asked: Asked) -> None:
        with self.lock:
            self.asked.append(asked)

    def count(self, part: str) -> int:
        with self.lock:
            return sum(part in asked.path for asked in self.asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GuardedProxy

    def do_GET(self):
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 -- the base class's names

    def log_message(self, *_):
        pass

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mishap = self.server.mishap(self.path)
        authorization = self.headers.get("Authorization")
        if mishap is not None and mishap.status is not None:
            self._answer(mishap.status, mishap.headers, mishap.text.encode())
        elif self.server.authorization is not None and authorization != self.server.authorization:
            self._answer(401, {"WWW-Authenticate": "Basic realm=test"}, b"You are not allowed in here.")
        elif mishap is not None:
            self._cut(body, mishap)
        else:
            self._answer(*self._ask(body))

    def _cut(self, body: bytes, mishap: Mishap):
        if mishap.done:
            self._ask(body)
        if mishap.first is not None:
            mishap.first()
        self._remember(0)
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        with contextlib.closing(http.client.HTTPConnection(self.server.target, timeout=60)) as server:
            if self.server.host is not None:
                headers["Host"] = self.server.host
            server.request(self.command, self.path, body or None, headers)
            answer = server.getresponse()
            content = answer.read()
        kept = {name: value for name, value in answer.getheaders() if name.lower() == "content-type"}
        return answer.status, kept, content

    def _answer(self, status: int, headers: dict[str, str], content: bytes):
        self._remember(status)
        self.send_response(status)
        for name, value in (*headers.items(), ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _remember(self, status: int):
        credentials = self.headers.get("Authorization") is not None
        self.server.remember(Asked(self.command, self.path, credentials, status))


@contextlib.contextmanager
def guarding(target: str, **options) -> Iterator[GuardedProxy]:
    """A proxy in a thread, for as long as the block lasts."""
    with GuardedProxy(target, **options) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
