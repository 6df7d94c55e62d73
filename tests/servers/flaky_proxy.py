"""An HTTP proxy in front of one server that does what bad networks and bad machines do to bodies on their way.

It flips bytes at places of the file (not of the connection: ranges are understood), cuts connections, and remembers
what was asked for. Requests pass unchanged, Host header and all, so that signatures stay valid.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 20


@dataclass(frozen=True)
class Seen:
    """What a client asked for, and what became of it."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int


@dataclass
class Faults:
    """What goes wrong. May be changed while the proxy runs."""

    flip: set[int] = field(default_factory=set)
    """Places of the file whose byte arrives with its lowest bit changed."""
    flips: int | None = None
    """How many bytes will be changed; None for no end of it."""
    cut_after: int | None = None
    """Bytes of a body after which its connection is cut."""
    cuts: int | None = None
    """How many connections will be cut; None for no end of it."""
    status: int | None = None
    """Answer with this instead of asking the server."""
    refusals: int | None = None
    """How many requests get that status; None for no end of it."""
    only: str = ""
    """What the path of a request must have in it to be harmed."""


class FlakyProxy(ThreadingHTTPServer):
    """The proxy, and what it remembers."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, target: str):
        parts = urlsplit(target)
        self.target = (parts.hostname, parts.port)
        self.faults = Faults()
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def remember(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)

    def may(self, count: str) -> bool:
        """Whether one more fault of a kind is wanted."""
        with self._lock:
            left = getattr(self.faults, count)
            if left is None:
                return True
            setattr(self.faults, count, max(left - 1, 0))
            return left > 0

    def handle_error(self, request, client_address):
        """A client that went away is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyProxy

    def do_GET(self):
        self._pass_on()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 -- the base class's names

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        pass

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        faults = self.server.faults
        harmed = faults.only in self.path
        if harmed and faults.status is not None and self.server.may("refusals"):
            self.send_response(faults.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self._remember(faults.status, 0)
            return
        with contextlib.closing(http.client.HTTPConnection(*self.server.target, timeout=120)) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            self._relay(upstream.getresponse(), harmed=harmed)

    def _relay(self, answer: http.client.HTTPResponse, *, harmed: bool):
        self.send_response_only(answer.status, answer.reason)
        chunked = answer.chunked
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        if chunked:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        at = sent = 0
        if match := re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", "")):
            at = int(match[1])
        harmed = harmed and answer.status in {200, 206} and self.command == "GET"
        cut = self.server.faults.cut_after if harmed else None
        cutting = False
        while (block := answer.read(BLOCK)) and not cutting:
            block = self._flip(block, at) if harmed else block
            if cut is not None and sent + len(block) > cut and self.server.may("cuts"):
                block, cutting = block[: cut - sent], True
            self.wfile.write(block)
            at += len(block)
            sent += len(block)
        # Before the client can know that it was cut off and asks again.
        self._remember(answer.status, sent)
        if cutting:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _flip(self, block: bytes, at: int) -> bytes:
        places = [place - at for place in self.server.faults.flip if at <= place < at + len(block)]
        if not places:
            return block
        changed = bytearray(block)
        for place in places:
            if self.server.may("flips"):
                changed[place] ^= 1
        return bytes(changed)

    def _remember(self, status: int, sent: int):
        self.server.remember(Seen(self.command, self.path, self.headers.get("Range"), status, sent))


@contextlib.contextmanager
def flaky_proxy(target: str) -> Iterator[FlakyProxy]:
    """A proxy in a thread, in front of the server with that URL, for as long as the block lasts."""
    with FlakyProxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
