"""The files of a Databricks workspace: its DBFS API and its Files API, over a directory.

Made from what databricks-sdk sends and reads; tests/data/test_dbfs.py lets that SDK's own client use it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST = 1 << 20
PAGE = 3


class Workspace(ThreadingHTTPServer):
    """The server. Files lie below `root`, volumes below `root`/Volumes."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, root: Path, token: str):
        self.root = root
        self.token = token
        self.requests: list[tuple[str, str, str | None]] = []
        self.refusals: list[int] = []
        """Statuses for the next requests."""
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def remember(self, method: str, path: str, range_: str | None) -> int | None:
        """Note a request; give the status with which to refuse it, if that is wanted."""
        with self._lock:
            self.requests.append((method, path, range_))
            return self.refusals.pop(0) if self.refusals else None

    def handle_error(self, request, client_address):
        """A client that went away is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Workspace

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        refusal = self.server.remember(self.command, self.path, self.headers.get("Range"))
        if refusal is not None:
            self._refuse(refusal, "TEMPORARILY_UNAVAILABLE", "Come back later.")
        elif self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._refuse(403, "PERMISSION_DENIED", "Invalid access token.")
        elif parts.path.startswith("/api/2.0/dbfs/"):
            self._dbfs(parts.path.rpartition("/")[2], query)
        elif match := re.fullmatch(r"/api/2\.0/fs/(files|directories)(/.*)", parts.path):
            self._volume(match[1], self._local(unquote(match[2])), query)
        else:
            self._refuse(404, "ENDPOINT_NOT_FOUND", f"No API found for '{self.command} {parts.path}'.")

    do_HEAD = do_GET  # noqa: N815 -- the base class's name

    def _local(self, path: str) -> Path:
        return self.server.root / path.strip("/")

    def _remote(self, path: Path) -> str:
        return f"/{path.relative_to(self.server.root).as_posix()}".replace("/.", "/")

    def _dbfs(self, what: str, query: dict[str, str]):
        path = self._local(query["path"])
        if not path.exists():
            self._refuse(404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {query['path']}.")
        elif what == "get-status":
            self._json(self._info(path))
        elif what == "list":
            entries = sorted(path.iterdir()) if path.is_dir() else [path]
            self._json({"files": [self._info(entry) for entry in entries]} if entries else {})
        elif what == "read":
            offset, length = int(query["offset"]), int(query["length"])
            if length > MOST:
                self._refuse(400, "MAX_READ_SIZE_EXCEEDED", "The maximum read size is 1 MB.")
                return
            with path.open("rb") as stream:
                stream.seek(offset)
                data = stream.read(length)
            self._json({"bytes_read": len(data), "data": base64.b64encode(data).decode()})

    def _info(self, path: Path) -> dict[str, object]:
        status = path.stat()
        size = 0 if path.is_dir() else status.st_size
        modified = int(status.st_mtime * 1000)
        return {"path": self._remote(path), "is_dir": path.is_dir(), "file_size": size, "modification_time": modified}

    def _volume(self, what: str, path: Path, query: dict[str, str]):
        if not (path.is_file() if what == "files" else path.is_dir()):
            self._refuse(404, "NOT_FOUND", "The file or directory being accessed is not found.")
        elif what == "directories":
            self._directory(path, query)
        else:
            self._file(path)

    def _directory(self, path: Path, query: dict[str, str]):
        if self.command == "HEAD":
            self._send(200, b"", {})
            return
        entries = sorted(path.iterdir())
        begin = int(query.get("page_token", 0))
        page = {"contents": [self._entry(entry) for entry in entries[begin : begin + PAGE]]}
        if begin + PAGE < len(entries):
            page["next_page_token"] = str(begin + PAGE)
        self._json(page)

    def _entry(self, path: Path) -> dict[str, object]:
        entry = {"path": self._remote(path), "name": path.name, "is_directory": path.is_dir()}
        if path.is_dir():
            return entry
        status = path.stat()
        return entry | {"file_size": status.st_size, "last_modified": int(status.st_mtime * 1000)}

    def _file(self, path: Path):
        content, modified = path.read_bytes(), formatdate(path.stat().st_mtime, usegmt=True)
        headers = {"Last-Modified": modified, "Content-Type": "application/octet-stream"}
        if self.headers.get("If-Unmodified-Since") not in {None, modified}:
            self._refuse(412, "PRECONDITION_FAILED", "The file was changed.")
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None:
            self._send(200, content, headers)
            return
        begin, end = int(match[1]), min(int(match[2] or len(content)), len(content) - 1) + 1
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
        self._send(206, content[begin:end], headers)

    def _json(self, value: dict[str, object]):
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str):
        body = json.dumps({"error_code": code, "message": message}).encode()
        self._send(status, body, {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextlib.contextmanager
def workspace(root: Path, *, token: str) -> Iterator[Workspace]:
    """A workspace in a thread, for as long as the block lasts."""
    with Workspace(root, token) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
