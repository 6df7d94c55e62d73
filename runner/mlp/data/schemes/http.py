"""``http:`` and ``https:``: a file from any web server.

One stream. Where it breaks, the rest is asked for with If-Range, so that a server which has a new file meanwhile sends
all of it and never a tail that does not fit. Where the server says what the bytes have to be (Repr-Digest,
Content-Digest, Digest, Content-MD5), they are checked. Credentials in the URL, in ~/.netrc and of proxies are used as
requests does, and never follow a redirection to another host.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlp.data.origin import Context, Item, Listing, Plan, Reply
from mlp.data.replies import reply_of
from mlp.data.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.address import Address

__all__ = ["WebFile", "open_origin"]


def open_origin(address: Address, context: Context) -> WebFile:
    """The way to what a URL names."""
    web = Web(
        threads=context.threads,
        shown=address.shown,
        way_to_authenticate="Credentials for a host are taken from ~/.netrc.",
    )
    return WebFile(web, address.uri)


class WebFile:
    """One file."""

    def __init__(self, web: Web, url: str) -> None:
        self._web = web
        self._url = url
        self.shown = web.shown

    def find(self) -> Listing:
        """A URL names one file; whether it is there, the first stream will tell."""
        return Listing([Item("", None, self._url)])

    def plan(self, item: Item) -> Plan:
        """In one stream."""
        del item
        return Plan()

    @contextmanager
    def read(self, item: Item, version: str, begin: int, end: int | None) -> Iterator[Reply]:
        """Ask for the file, or for the rest of the one that has that version."""
        del end
        # Without anything to hold on to, the rest might be another file's.
        headers = {"Range": f"bytes={begin}-", "If-Range": version} if begin and version else {}
        with self._web.get(item.key, headers=headers) as response:
            yield reply_of(response, begin)

    def confirm(self, item: Item, version: str) -> None:
        """The version of each reply has been compared by the server."""

    def close(self) -> None:
        """Close the connection."""
        self._web.close()
