"""``mlflow-artifacts:``: what a tracking server keeps for its clients, through its own proxy of artifacts.

The server knows names, kinds and sizes, and sends whole files or, where it keeps them on a disk of its own, parts of
them. It has no checksums, so that sizes are all that can be compared.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlp.data.origin import Context, Item, Listing, Plan, Reply
from mlp.data.replies import reply_of
from mlp.data.server import find_server
from mlp.errors import DataInvalid, DataNotFound, DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.address import Address
    from mlp.data.server import Server

__all__ = ["ServedArtifacts", "open_origin"]

_API: Final = "/api/2.0/mlflow-artifacts/artifacts"


def open_origin(address: Address, context: Context) -> ServedArtifacts:
    """The way to what a server keeps under a path."""
    server = find_server(context, host=address.host, shown=address.shown)
    return ServedArtifacts(server, address.path.removeprefix(_API.lstrip("/")).strip("/"), shown=address.shown)


class ServedArtifacts:
    """A file of the server's artifacts, or a directory with all below it."""

    def __init__(self, server: Server, path: str, *, shown: str) -> None:
        self._server = server
        self._path = path
        self.shown = shown

    def find(self) -> Listing:
        """Ask for the names, a directory at a time."""
        if self._path:
            above, _, name = self._path.rpartition("/")
            # The server lists a file as it lists an empty directory: only its directory tells which it is.
            entry = next((each for each in self._entries(above) if each["path"] == name), None)
            if entry is None:
                raise DataNotFound(f"There is no {self.shown}: the tracking server keeps nothing of that name there.")
            if not entry.get("is_dir"):
                return Listing([Item("", _size(entry), self._path)])
        items: list[Item] = []
        directories: list[str] = []
        pending = [""]
        while pending:
            below = pending.pop()
            for entry in self._entries("/".join(filter(None, (self._path, below)))):
                path = "/".join(filter(None, (below, str(entry["path"]))))
                if entry.get("is_dir"):
                    directories.append(path)
                    pending.append(path)
                else:
                    items.append(Item(path, _size(entry), "/".join(filter(None, (self._path, path)))))
        return Listing(items, directories, directory=True)

    def _entries(self, path: str) -> list[dict[str, Any]]:
        answer = self._server.web.json(f"{self._server.url}{_API}", params={"path": path} if path else {})
        entries = [each for each in answer.get("files", []) if isinstance(each, dict) and each.get("path")]
        for entry in entries:
            # One name each. What leads elsewhere must not be asked for again either: the list would never end.
            if "/" in str(entry["path"]) or str(entry["path"]) in {".", ".."}:
                raise DataInvalid(
                    f"The server of {self.shown} lists the name {entry['path']!r}, which no file can have."
                )
        return entries

    def plan(self, item: Item) -> Plan:
        """In one stream."""
        del item
        return Plan()

    @contextmanager
    def read(self, item: Item, version: str, begin: int, end: int | None) -> Iterator[Reply]:
        """Ask for a file."""
        del end
        headers = {"Range": f"bytes={begin}-", "If-Range": version} if begin and version else {}
        with self._server.web.get(f"{self._server.url}{_API}/{quote(item.key)}", headers=headers) as response:
            reply = reply_of(response, begin)
            if item.size is not None and reply.end is not None and reply.end != item.size:
                raise DataUnavailable(
                    f"{self.shown} has another size than the server listed ({reply.end} bytes, not {item.size})."
                )
            reply.end = item.size if reply.end is None else reply.end
            yield reply

    def confirm(self, item: Item, version: str) -> None:
        """The size has been compared."""

    def close(self) -> None:
        """Close all connections."""
        self._server.web.close()


def _size(entry: dict[str, Any]) -> int | None:
    # Protocol buffers' JSON writes 64-bit numbers as text, and a size of zero not at all.
    text = str(entry.get("file_size", ""))
    return int(text) if text.isdecimal() else None
