"""A web server of files in memory: ranges, validators, digests, passwords and redirections, as a test sets them."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class File:
    """What is served under one path."""

    content: bytes = b""
    etag: str | None = None
    """None: made from the content. "": there is none."""
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    location: str = ""
    password: str | None = None
    """"user:password" that is wanted."""
    token: str | None = None
    chunked: bool = False
    compressed: bool = False

    @property
    def validator(self) -> str:
        return f'"{hashlib.sha1(self.content).hexdigest()}"' if self.etag is None else self.etag


@dataclass(frozen=True)
class Request:
    path: str
    query: str
    range: str | None
    if_range: str | None
    authorization: str | None
    status: int


class FilesServer(ThreadingHTTPServer):
    """The server: put files into it, read what it was asked."""

    daemon_threads = True

    def __init__(self):
        self.files: dict[str, File] = {}
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def remember(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def handle_error(self, request, client_address):
        """A client that went away is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FilesServer

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        file = self.server.files.get(unquote(parts.path), File(status=404))
        status = self._status(file)
        begin = self._begin(file) if status == 200 else 0
        if begin:
            status = 206
        wanted = [self.headers.get(name) for name in ("Range", "If-Range", "Authorization")]
        self.server.remember(Request(parts.path, parts.query, *wanted, status))
        content = file.content if status in {200, 206} else b"No."
        body = gzip.compress(content) if file.compressed else content[begin:]
        self.send_response(status)
        for name, value in file.headers.items():
            self.send_header(name, value)
        if file.compressed:
            self.send_header("Content-Encoding", "gzip")
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if file.validator:
            self.send_header("ETag", file.validator)
        if file.location:
            self.send_header("Location", file.location)
        self.send_header(*(("Transfer-Encoding", "chunked") if file.chunked else ("Content-Length", str(len(body)))))
        self.end_headers()
        if file.chunked:
            for at in range(0, len(body), 1 << 16):
                block = body[at : at + (1 << 16)]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
            body = b"0\r\n\r\n"
        self.wfile.write(body)

    def _status(self, file: File) -> int:
        given = self.headers.get("Authorization", "")
        basic = "Basic " + base64.b64encode((file.password or "").encode()).decode()
        if (file.password is not None and given != basic) or (
            file.token is not None and given != f"Bearer {file.token}"
        ):
            return 401
        return file.status

    def _begin(self, file: File) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None or not file.ranges:
            return 0
        if_range = self.headers.get("If-Range")
        unchanged = if_range in {None, file.validator, file.headers.get("Last-Modified")}
        return int(match[1]) if unchanged and file.validator.startswith("W/") is False else 0


@contextlib.contextmanager
def files_server() -> Iterator[FilesServer]:
    """A server in a thread, for as long as the block lasts."""
    with FilesServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
