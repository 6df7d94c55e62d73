"""A server for tests of the network: answers every GET with the client's address. Arguments: IP PORT."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"hello {self.client_address[0]}".encode())


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
