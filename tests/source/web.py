"""A web server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Answer:
    """What a client gets.

    Attributes:
        body: The content.
        status: HTTP's.
        headers: Besides the length.
        length: What the server claims, where that is not the truth.
        trickles: Whether the content comes byte by byte, and never to its end.
        wants: The header ``Authorization`` without which the answer is 401.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    trickles: bool = False
    wants: str | None = None


class WebServer(ThreadingHTTPServer):
    """Answers by path; 404 for all others."""

    daemon_threads = True

    def __init__(self, tls=None):
        self.tls = tls
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.halt = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Clients that give up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: WebServer

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        """Silence."""

    def do_GET(self):
        authorization = self.headers.get("Authorization")
        self.server.asked.append((self.path, authorization))
        answer = self.server.answers.get(self.path, Answer(status=404))
        if answer.wants is not None and authorization != answer.wants:
            answer = Answer(status=401)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.end_headers()
        if answer.trickles:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                if self.server.halt.wait(0.05):
                    return
        self.wfile.write(answer.body)


@contextlib.contextmanager
def serving(tls=None) -> Iterator[WebServer]:
    """A server in a thread, for as long as the block lasts."""
    with WebServer(tls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.halt.set()
            server.shutdown()
            thread.join()
