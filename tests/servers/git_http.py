"""A real Git server over HTTP with Basic authentication, from nothing but the standard library and `git http-backend`.

It serves every repository below a directory, can be told to misbehave, and remembers what it was asked (whether a
request carried credentials, never which). It runs inside the tests' own process, or as a script where another network
namespace is needed:

    python tests/servers/git_http.py --bind 10.0.0.1 --port 8080 --root DIR --user bob --password-file FILE
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.servers.lfs import LargeFiles

BLOCK = 1 << 16


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    credentials: bool
    status: int
    sent: int


@dataclass
class Behaviour:
    """How the server misbehaves. May be changed while it runs."""

    delay: float = 0.0
    """Seconds before each answer."""
    status: int | None = None
    """Answer everything with this."""
    filters: bool = True
    """Whether partial fetches are served."""
    protocol_v2: bool = True
    """Whether Git's protocol 2 is spoken; without it only the tips of branches and tags are served."""
    redirect: str | None = None
    """Send every client on to this server."""


@dataclass
class Accounts:
    """Who may read. Nobody in it: everybody."""

    passwords: dict[str, str] = field(default_factory=dict)

    def admit(self, header: str | None) -> bool:
        if not self.passwords:
            return True
        if header is None or not header.startswith("Basic "):
            return False
        try:
            user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        except ValueError:
            return False
        return self.passwords.get(user) == password


class GitServer(ThreadingHTTPServer):
    """The server, and what it remembers."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, root, *, accounts=None, behaviour=None, bind="127.0.0.1", port=0, log=None, tls=None, lfs=None):
        self.tls: ssl.SSLContext | None = tls
        self.lfs: LargeFiles | None = lfs
        self.root = Path(root).resolve()
        self.accounts = accounts or Accounts()
        self.behaviour = behaviour or Behaviour()
        self.requests: list[Request] = []
        self.log = log
        self._lock = threading.Lock()
        self._halt = threading.Event()
        super().__init__((bind, port), _Handler)
        if tls is not None:
            # The handshake is left to the thread that reads, so that a silent client holds up nobody else.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """Where the repositories are; the path of one below the root follows."""
        host, port = self.server_address[:2]
        return f"{'https' if self.tls else 'http'}://{host}:{port}"

    @property
    def sent(self) -> int:
        """Bytes of all answers."""
        return sum(request.sent for request in self.requests)

    def remember(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            if self.log is not None:
                self.log.write(json.dumps(asdict(request)) + "\n")
                self.log.flush()

    def wait(self, seconds: float) -> None:
        self._halt.wait(seconds)

    def hold(self) -> None:
        """Keep every answer from now on, until `halt`."""
        self._halt.clear()
        self.behaviour.delay = 3600.0

    def halt(self) -> None:
        """Let every delayed answer go at once."""
        self._halt.set()

    def handle_error(self, request, client_address):
        # A client that was killed leaves a broken pipe; anything else is worth reading.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GitServer

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        """Silence; the server remembers what matters."""

    def _answer(self):
        self._sent = 0
        self._status = 0
        behaviour = self.server.behaviour
        header = self.headers.get("Authorization")
        try:
            if behaviour.delay:
                self.server.wait(behaviour.delay)
            if behaviour.status is not None:
                self._refuse(behaviour.status)
            elif behaviour.redirect is not None:
                self._refuse(302, ("Location", f"{behaviour.redirect}{self.path}"))
            elif not self.server.accounts.admit(header):
                self._refuse(401, ("WWW-Authenticate", 'Basic realm="git"'))
            elif self.server.lfs is not None and "/info/lfs/" in self.path:
                self._serve_large_files(self.server.lfs)
            else:
                self._run_backend(behaviour)
        finally:
            self.server.remember(Request(self.command, self.path, header is not None, self._status, self._sent))

    def _refuse(self, status, *headers):
        for _ in self._body():
            pass
        self._status = status
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()

    def _serve_large_files(self, lfs: LargeFiles):
        answer = lfs.answer(self, self.server.url, b"".join(self._body()))
        status, body, kind = answer or (404, b"", "text/plain")
        self._status, self._sent = status, len(body)
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().strip() or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("Content-Length") or 0)
            while left > 0:
                block = self.rfile.read(min(left, BLOCK))
                if not block:
                    return
                left -= len(block)
                yield block

    def _run_backend(self, behaviour: Behaviour):
        path, _, query = self.path.partition("?")
        config = {"safe.directory": "*", "uploadpack.allowFilter": str(behaviour.filters).lower()}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": self.client_address[0],
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for number, (key, value) in enumerate(config.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        if behaviour.protocol_v2:
            environment["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        command = ["git", "http-backend"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        ) as backend:
            try:
                with contextlib.suppress(BrokenPipeError), backend.stdin:
                    for block in self._body():
                        backend.stdin.write(block)
                self._relay(backend.stdout)
            finally:
                if backend.poll() is None:
                    backend.terminate()

    def _relay(self, output: BinaryIO):
        status, headers = 200, []
        while line := output.readline().strip():
            name, _, value = line.decode().partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self._status = status
        self.send_response(status)
        for name, value in (*headers, ("Transfer-Encoding", "chunked")):
            self.send_header(name, value)
        self.end_headers()
        while block := output.read1(BLOCK):
            self._sent += len(block)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
        self.wfile.write(b"0\r\n\r\n")


@contextlib.contextmanager
def serving(root, **options) -> Iterator[GitServer]:
    """A server in a thread, for as long as the block lasts."""
    with GitServer(root, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.halt()
            server.shutdown()
            thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--root", type=Path, required=True, help="the directory with the repositories")
    parser.add_argument("--user")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--log", type=Path, help="a file that gets one JSON object a request")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--status", type=int, help="answer everything with this status")
    parser.add_argument("--no-filter", action="store_true", help="serve no partial fetches")
    parser.add_argument("--protocol-v0", action="store_true", help="do not speak Git's protocol 2")
    arguments = parser.parse_args()
    if (arguments.user is None) != (arguments.password_file is None):
        parser.error("--user and --password-file belong together")
    if shutil.which("git") is None:
        parser.error("git is not installed")
    accounts = Accounts()
    if arguments.user is not None:
        accounts.passwords[arguments.user] = arguments.password_file.read_text().strip()
    behaviour = Behaviour(
        arguments.delay, arguments.status, filters=not arguments.no_filter, protocol_v2=not arguments.protocol_v0
    )
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(arguments.log.open("a")) if arguments.log else None
        options = {"accounts": accounts, "behaviour": behaviour, "bind": arguments.bind, "port": arguments.port}
        server = stack.enter_context(serving(arguments.root, log=log, **options))
        print(server.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
