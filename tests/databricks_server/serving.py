"""HTTP: a request in, checked and counted, an answer out, checked too; and what goes wrong on the way if it is to."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.databricks_server.auth import TokenRefusedError
from tests.databricks_server.faults import ANSWERS
from tests.databricks_server.refusals import RefusedError

if TYPE_CHECKING:
    import ssl

    from tests.databricks_server.faults import Fault
    from tests.databricks_server.routes import Routes

__all__ = ["Asked", "Listener"]

LARGEST_BODY = 6 << 30


class Asked:
    """A request, read.

    Attributes:
        method: GET, POST, …
        path: Decoded, without the query.
        query: What stands behind the question mark.
        headers: As they came.
        raw: The body.
        base: The server's URL as the client has it.
        identity: Who asks, once that is known.
    """

    def __init__(self, handler: Handler, raw: bytes):
        parts = urlsplit(handler.path)
        self.method = handler.command
        self.path = unquote(parts.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.headers = handler.headers
        self.raw = raw
        scheme = "https" if handler.server.tls else "http"
        self.base = f"{scheme}://{handler.headers.get('Host') or handler.server.address}"
        self.identity: str | None = None

    @property
    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.raw or b"{}")
        except ValueError as error:
            raise RefusedError(400, "MALFORMED_REQUEST", "Could not parse request object: it is no JSON.") from error
        if not isinstance(found, dict):
            raise RefusedError(400, "MALFORMED_REQUEST", "Could not parse request object: it is no object.")
        return found

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form in the usual encoding."""
        return {name: values[-1] for name, values in parse_qs(self.raw.decode(errors="replace")).items()}

    @property
    def is_multipart(self) -> bool:
        return (self.headers.get("Content-Type") or "").startswith("multipart/form-data")

    def parts(self) -> tuple[dict[str, str], dict[str, bytes]]:
        """A multipart form's fields and its files, by name."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        fields, files = {}, {}
        for part in message_from_bytes(head + self.raw, policy=HTTP).iter_parts():
            name = str(part.get_param("name", header="Content-Disposition"))
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            if part.get_filename() is not None:
                files[name] = content
            else:
                fields[name] = content.decode()
        return fields, files


class Listener(ThreadingHTTPServer):
    """Listens and knows its connections, so that they can be cut."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], routes: Routes, tls: ssl.SSLContext | None):
        self.routes = routes
        self.tls = tls
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        super().__init__(address, Handler)

    @property
    def address(self) -> str:
        return f"{self.server_address[0]}:{self.server_address[1]}"

    def start(self) -> None:
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="databricks", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no connection any more, and cut those that there are."""
        self.shutdown()
        self.server_close()
        if self._thread is not None:
            self._thread.join()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with self._lock:
                if not self._connections:
                    return
                for connection in self._connections:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            self.routes.faults.let_go()
            time.sleep(0.01)

    def process_request(self, request, client_address):
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def finish_request(self, request, client_address):
        # In the connection's own thread: a client that does not finish its handshake must hold up nobody.
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as secured:
            with self._lock:
                self._connections.add(secured)
            try:
                super().finish_request(secured, client_address)
            finally:
                with self._lock:
                    self._connections.discard(secured)

    def handle_error(self, request, client_address):
        """Broken connections and handshakes are what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener
    # An answer goes out in one piece: its headers alone would wait for the client's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        raw = self._body()
        if raw is None:
            return
        asked = Asked(self, raw)
        routes = self.server.routes
        if asked.path.startswith("/double/"):
            self._send(*routes.control(asked))
            return
        noted = routes.journal.begin(
            asked.method, asked.path, urlsplit(self.path).query, self.headers.get("User-Agent", "")
        )
        fault = routes.faults.of(asked.method, asked.path)
        if fault is not None:
            noted.fault = f"{fault.kind} {'after' if fault.after else 'before'}"
            if not fault.after and not self._goes_on(fault):
                noted.status = fault.status or ANSWERS.get(fault.kind, (None,))[0]
                return
        status, body, headers = self._answer(asked)
        noted.identity = asked.identity
        if fault is not None and fault.after and not self._goes_on(fault):
            noted.status = fault.status or ANSWERS.get(fault.kind, (None,))[0]
            return
        noted.status = status
        if fault is not None and fault.kind == "drip":
            self._drip(status, body, headers, fault.seconds or 1.0)
        else:
            self._send(status, body, headers)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815 -- the base class's names

    def _body(self) -> bytes | None:
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            return self._chunks()
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:
            self.close_connection = True
            return None
        return raw

    def _chunks(self) -> bytes | None:
        raw = bytearray()
        while True:
            size = int(self.rfile.readline().split(b";")[0] or b"0", 16)
            raw += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return bytes(raw)

    def _answer(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        try:
            answer = self.server.routes.answer(asked)
        except RefusedError as refusal:
            return refusal.status, json.dumps(refusal.body).encode(), {**_JSON, **refusal.headers}
        except TokenRefusedError as refusal:
            return refusal.status, json.dumps(refusal.body).encode(), _JSON
        except Exception as error:  # noqa: BLE001 -- the double's own mistake: told to the client and to the test
            self.server.routes.mistakes.append(f"{asked.method} {asked.path}: {error!r}")
            body = {"error_code": "INTERNAL_ERROR", "message": f"the double: {error!r}"}
            return 500, json.dumps(body).encode(), _JSON
        if isinstance(answer, tuple):
            return answer
        return 200, json.dumps(answer).encode(), _JSON

    def _goes_on(self, fault: Fault) -> bool:
        """Let a fault happen; whether the request is answered all the same."""
        if fault.kind == "drop":
            self._cut()
        elif fault.kind == "hang":
            self.server.routes.faults.wait(fault.seconds)
            self._cut()
        elif fault.kind == "slow":
            time.sleep(1.0 if fault.seconds is None else fault.seconds)
            return True
        elif fault.kind == "drip":
            return True
        else:
            status, code, message = ANSWERS[fault.kind]
            headers = {} if fault.seconds is None else {"Retry-After": f"{max(0, round(fault.seconds))}"}
            body = json.dumps({"error_code": code, "message": message}).encode()
            self._send(fault.status or status, body, {**_JSON, **headers})
        return False

    def _cut(self) -> None:
        """End the connection without another byte."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, body, headers)
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _drip(self, status: int, body: bytes, headers: dict[str, str], seconds: float) -> None:
        self._head(status, body, headers)
        self.wfile.flush()
        for at in range(len(body)):
            time.sleep(seconds / len(body))
            self.wfile.write(body[at : at + 1])
            self.wfile.flush()

    def _head(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()


_JSON = {"Content-Type": "application/json; charset=utf-8"}
