"""A proxy as closed networks have them between their machines and the world: tunnels (CONNECT) and plain HTTP.

It may want a user name and a password, and remembers where its clients wanted to go.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0
HOP_BY_HOP = {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding"}


class ForwardProxy(ThreadingHTTPServer):
    """The proxy.

    Attributes:
        credentials: ``user:password`` that it wants; None lets everybody through.
        asked: Host and port of each request that it admitted.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, credentials=None):
        self.credentials = credentials
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def admits(self, header: str | None) -> bool:
        if self.credentials is None:
            return True
        return header == "Basic " + base64.b64encode(self.credentials.encode()).decode()

    def handle_error(self, request, client_address):
        """Clients that go away in the middle are none of its business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ForwardProxy

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        """Silence."""

    def do_CONNECT(self):
        if not self._admitted(self.path):
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as target:
            self.send_response(200)
            self.end_headers()
            pumps = [
                threading.Thread(target=_pump, args=pair)
                for pair in ((self.connection, target), (target, self.connection))
            ]
            for pump in pumps:
                pump.start()
            for pump in pumps:
                pump.join()
        self.close_connection = True

    def do_GET(self):
        self._forward()

    def do_POST(self):
        self._forward()

    def _admitted(self, target: str) -> bool:
        if self.server.admits(self.headers.get("Proxy-Authorization")):
            self.server.asked.append(target)
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def _forward(self):
        body = self._body()
        parts = urlsplit(self.path)
        if not self._admitted(parts.netloc):
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)) as target:
            target.request(self.command, parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
            answer = target.getresponse()
            content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(credentials: str | None = None) -> Iterator[ForwardProxy]:
    """A proxy in a thread, for as long as the block lasts."""
    with ForwardProxy(credentials) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
