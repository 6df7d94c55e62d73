"""An HTTP server for the files of a channel or an index. It can want credentials, hold back, fail, and remembers.

It runs in a thread of the tests' process.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
import sys
import threading
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Behaviour:
    """May be changed while the server runs."""

    user: tuple[str, str] | None = None
    """The name and the password that every request has to carry."""
    token: str | None = None
    """What has to stand in the path, as /t/TOKEN/ in front of everything else."""
    status: int | None = None
    """Answer everything with this."""
    held: tuple[str, ...] = ()
    """Endings of paths whose content is not sent before `PackageServer.release`."""
    tls: tuple[Path, Path] | None = None
    """A certificate and its key, for https."""


@dataclass
class Request:
    path: str
    status: int = 0
    credentials: str | None = field(default=None, repr=False)


class PackageServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, behaviour: Behaviour | None = None) -> None:
        self.root = root
        self.behaviour = behaviour or Behaviour()
        self.requests: list[Request] = []
        self.asked_for_held = threading.Event()
        self._released = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        if self.behaviour.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.behaviour.tls)
            # The handshake is the handler's: one client that gives up must not hold up the others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"http{'s' if self.behaviour.tls else ''}://127.0.0.1:{self.server_address[1]}"

    def url_with(self, credentials: str) -> str:
        return self.url.replace("://", f"://{credentials}@")

    def release(self) -> None:
        """Let everything go that was held."""
        self._released.set()

    def wait_for_release(self) -> None:
        self.asked_for_held.set()
        self._released.wait()

    def handle_error(self, request, client_address):
        # A client that was killed leaves a broken pipe, one that does not trust us no handshake.
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PackageServer

    def __init__(self, request, client_address, server) -> None:
        super().__init__(request, client_address, server, directory=str(server.root))

    def do_GET(self):
        self._answer(super().do_GET)

    def do_HEAD(self):
        self._answer(super().do_HEAD)

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        """Silence; the server remembers what matters."""

    def send_response(self, code, message=None):
        self._request.status = code
        super().send_response(code, message)

    def _answer(self, serve) -> None:
        behaviour = self.server.behaviour
        self._request = Request(self.path, credentials=self.headers.get("Authorization"))
        self.server.requests.append(self._request)
        if behaviour.status is not None:
            self._refuse(behaviour.status)
        elif not self._admitted(behaviour):
            self._refuse(401)
        else:
            if behaviour.token:
                self.path = self.path.removeprefix(f"/t/{behaviour.token}")
            if self.path.endswith(behaviour.held or ("\0",)):
                self.server.wait_for_release()
            serve()

    def _admitted(self, behaviour: Behaviour) -> bool:
        if behaviour.token and not self.path.startswith(f"/t/{behaviour.token}/"):
            return False
        if behaviour.user is None:
            return True
        expected = base64.b64encode(":".join(behaviour.user).encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def serving(root: Path, **behaviour):
    """A server in a thread, for as long as the block lasts."""
    with PackageServer(root, Behaviour(**behaviour)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.release()
            server.shutdown()
            thread.join()
