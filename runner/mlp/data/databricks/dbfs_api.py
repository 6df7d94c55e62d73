"""The DBFS API of Databricks: files that are not in a volume, a megabyte of base64 a request."""

from __future__ import annotations

import base64
import binascii
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mlp.data.origin import Changed, Item, Listing, Plan, Reply
from mlp.data.pieces import pieces
from mlp.errors import DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.web import Web

__all__ = ["DbfsFiles"]

_API: Final = "/api/2.0/dbfs"
_MOST: Final = 1 << 20
"""Bytes that one request gives at most."""


class DbfsFiles:
    """A file, or a directory with all below it."""

    def __init__(self, web: Web, host: str, path: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            web: A session that says who asks.
            host: The workspace's URL.
            path: Absolute, without the scheme.
        """
        self._web = web
        self._host = host
        self._path = path
        self.shown = web.shown

    def find(self) -> Listing:
        """Ask what it is, and for the names where it is a directory."""
        status = self._ask("get-status", path=self._path)
        if not status.get("is_dir"):
            return Listing([self._item("", status)])
        items: list[Item] = []
        directories: list[str] = []
        pending = [self._path]
        while pending:
            above = pending.pop()
            for entry in self._ask("list", path=above).get("files", []):
                path = str(entry.get("path", "")).rstrip("/")
                if not path.startswith(f"{above.rstrip('/')}/"):
                    raise DataUnavailable(f"The server of {self.shown} lists files that are not below '{above}'.")
                relative = path.removeprefix(self._path).lstrip("/")
                if entry.get("is_dir"):
                    directories.append(relative)
                    pending.append(path)
                else:
                    items.append(self._item(relative, entry))
        return Listing(items, directories, directory=True)

    def _item(self, relative: str, entry: dict[str, Any]) -> Item:
        return Item(relative, int(entry.get("file_size", 0)), str(entry.get("path", self._path)), _version(entry))

    def plan(self, item: Item) -> Plan:
        """In ranges, each of which takes many requests."""
        entry = self._ask("get-status", path=item.key)
        return Plan(pieces(int(entry.get("file_size", 0))), version=_version(entry))

    @contextmanager
    def read(self, item: Item, version: str, begin: int, end: int | None) -> Iterator[Reply]:
        """Ask for a range, a megabyte at a time."""
        del version
        last = (item.size or 0) if end is None else end
        yield Reply(self._blocks(item.key, begin, last), begin, last)

    def _blocks(self, path: str, begin: int, end: int) -> Iterator[bytes]:
        while begin < end:
            answer = self._ask("read", path=path, offset=begin, length=min(_MOST, end - begin))
            try:
                block = base64.b64decode(answer.get("data", ""), validate=True)
            except (binascii.Error, ValueError):
                block = b""
            if not block or len(block) != answer.get("bytes_read"):
                raise DataUnavailable(f"The server of {self.shown} gave no bytes, or others than it said.")
            yield block
            begin += len(block)

    def confirm(self, item: Item, version: str) -> None:
        """Look whether it was replaced while it was read: the API has no conditions."""
        if _version(self._ask("get-status", path=item.key)) != version:
            raise Changed(f"{self.shown} was replaced while it was read.")

    def close(self) -> None:
        """Close all connections."""
        self._web.close()

    def _ask(self, what: str, **query: str | int) -> dict[str, Any]:
        return self._web.json(f"{self._host}{_API}/{what}", params=query)


def _version(entry: dict[str, Any]) -> str:
    return f"{entry.get('file_size', 0)} {entry.get('modification_time', 0)}"
