"""The Files API of Databricks: files of Unity Catalog's volumes, streamed and in ranges.

A request for a range names the time of change that was seen first (If-Unmodified-Since), so that what is put together
is of one file.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlp.data.origin import Item, Listing, Plan, Reply
from mlp.data.pieces import pieces
from mlp.data.replies import reply_of
from mlp.errors import DataNotFound, DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.web import Web

__all__ = ["VolumeFiles"]

_FILES: Final = "/api/2.0/fs/files"
_DIRECTORIES: Final = "/api/2.0/fs/directories"
_LARGE: Final = 32 << 20


class VolumeFiles:
    """A file of a volume, or a directory with all below it."""

    def __init__(self, web: Web, host: str, path: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            web: A session that says who asks.
            host: The workspace's URL.
            path: Absolute, as the API has it: /Volumes/….
        """
        self._web = web
        self._host = host
        self._path = path
        self.shown = web.shown

    def find(self) -> Listing:
        """Ask whether there is a file of that name, else for what is in the directory."""
        with self._web.get(self._url(_FILES, self._path), method="HEAD", absent=(404,)) as response:
            if response.ok:
                size = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
                return Listing([Item("", size, self._path, response.headers.get("Last-Modified", ""))])
        with self._web.get(self._url(_DIRECTORIES, self._path), method="HEAD", absent=(404,)) as response:
            if not response.ok:
                raise DataNotFound(f"There is no {self.shown}, or these credentials may not see it.")
        items: list[Item] = []
        directories: list[str] = []
        pending = [self._path]
        while pending:
            for entry in self._entries(pending.pop()):
                path = str(entry["path"]).rstrip("/")
                relative = path.removeprefix(self._path).lstrip("/")
                if entry.get("is_directory"):
                    directories.append(relative)
                    pending.append(path)
                else:
                    items.append(Item(relative, entry.get("file_size"), path))
        return Listing(items, directories, directory=True)

    def _entries(self, path: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._web.json(self._url(_DIRECTORIES, path), params={"page_token": token} if token else {})
            for entry in page.get("contents", []):
                # What does not lie below would never end, or be written elsewhere.
                if not str(entry.get("path", "")).startswith(f"{path}/"):
                    raise DataUnavailable(f"The server of {self.shown} lists files that are not below '{path}'.")
                yield entry
            token = page.get("next_page_token", "")
            if not token:
                return

    def plan(self, item: Item) -> Plan:
        """In one stream, or in ranges where it is large."""
        if (item.size or 0) <= _LARGE:
            return Plan(version=item.version)
        with self._web.get(self._url(_FILES, item.key), method="HEAD") as response:
            version = response.headers.get("Last-Modified", "")
            size = int(response.headers.get("Content-Length", item.size or 0))
        return Plan(pieces(size), version=version) if version else Plan()

    @contextmanager
    def read(self, item: Item, version: str, begin: int, end: int | None) -> Iterator[Reply]:
        """Ask for a file, or a range of it."""
        headers = {"If-Unmodified-Since": version} if version else {}
        if (begin and version) or end is not None:
            headers["Range"] = f"bytes={begin}-{'' if end is None else end - 1}"
        with self._web.get(self._url(_FILES, item.key), headers=headers) as response:
            reply = reply_of(response, begin)
            reply.version = response.headers.get("Last-Modified", "")
            yield reply

    def confirm(self, item: Item, version: str) -> None:
        """Each request has insisted on the time of change."""

    def close(self) -> None:
        """Close all connections."""
        self._web.close()

    def _url(self, api: str, path: str) -> str:
        return f"{self._host}{api}{quote(path)}"
