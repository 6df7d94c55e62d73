"""An S3 with any keys at all, also those that real stores normalise or refuse: it lists them and gives each a body.

For names alone; everything else about S3 is tested with a real one.
"""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Listing(ThreadingHTTPServer):
    """The server, and the objects it was asked for."""

    daemon_threads = True

    def __init__(self, keys: Mapping[str, bytes]):
        self.keys = keys
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listing

    def log_message(self, format, *args):  # noqa: A002 -- the base class's name
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        key = unquote(parts.path.lstrip("/").partition("/")[2])
        query = parse_qs(parts.query)
        if not key:
            self._send(200, self._list(query.get("prefix", [""])[0]).encode())
        elif key in self.server.keys:
            self.server.asked.append(key)
            self._send(200, self.server.keys[key])
        else:
            self._send(404, b"")

    do_HEAD = do_GET  # noqa: N815 -- the base class's name

    def _list(self, prefix: str) -> str:
        # boto3 asks for percent-encoded keys, since XML cannot hold all of them.
        found = [key for key in sorted(self.server.keys) if key.startswith(prefix)]
        entries = "".join(
            f"<Contents><Key>{escape(quote(key))}</Key><Size>{len(self.server.keys[key])}</Size>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in found
        )
        return (
            f'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>'
            f"<EncodingType>url</EncodingType>{entries}</ListBucketResult>"
        )

    def _send(self, status: int, body: bytes):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"opaque"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextlib.contextmanager
def s3_listing(keys: Mapping[str, bytes]) -> Iterator[Listing]:
    """A server in a thread, for as long as the block lasts."""
    with Listing(keys) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
