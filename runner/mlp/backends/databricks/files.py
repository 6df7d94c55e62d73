"""Files in a workspace: in volumes of Unity Catalog, among the workspace's own files, and on DBFS.

Each place has an interface of its own. Knows paths and bytes, not what they are for.
"""

from __future__ import annotations

import base64
import posixpath
import secrets
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import quote

from mlp.backends.databricks.pacing import Kind
from mlp.errors import WorkspaceError, WorkspaceNotFound, WorkspaceRefused
from mlp.tracking.retrying import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlp.backends.databricks.replies import Reply

    _Result = TypeVar("_Result")

__all__ = ["Files"]

_ONCE: Final = Patience(attempts=1, seconds=60.0)
_BLOCK: Final = 1_000_000
"""Bytes of a block on DBFS, which takes a megabyte; of base64, by some readings."""
_ABSENT: Final = 404


class Asking(Protocol):
    """What is needed of a workspace."""

    def ask(
        self,
        kind: Kind,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        patience: Patience | None = None,
    ) -> Reply:
        """Send a request until there is an answer."""

    def failure(self, reply: Reply, path: str) -> WorkspaceError:
        """What an answer means that is not fine."""

    def persist(self, call: Callable[[], _Result], patience: Patience | None = None) -> _Result:
        """Call until it works."""


class Files:
    """The files of one workspace."""

    def __init__(self, workspace: Asking) -> None:
        self._workspace = workspace

    def exists(self, path: str, *, size: int | None = None) -> bool:
        """Whether there is such a file, of that size if one is given and the workspace knows it."""
        place, inner = _place(path)
        match place:
            case "Volumes":
                reply = self._workspace.ask(Kind.FILES, "HEAD", _file(inner))
                if reply.status == _ABSENT:
                    return False  # what a HEAD gets has no body that could say more
                self._check(reply, _file(inner))
                length = reply.headers.get("content-length", "")
                found = int(length) if length.isascii() and length.isdecimal() else None
            case "Workspace":
                found = self._described(Kind.OTHER, "/api/2.0/workspace/get-status", inner, "size")
            case _:
                found = self._described(Kind.DBFS, "/api/2.0/dbfs/get-status", inner, "file_size")
        return found != _NOWHERE and (size is None or found is None or found == size)

    def put(self, path: str, content: bytes) -> None:
        """Write a file and the directories above it."""
        place, inner = _place(path)
        match place:
            case "Volumes":
                self._do(Kind.FILES, "PUT", f"/api/2.0/fs/directories{quote(posixpath.dirname(inner))}")
                self._do(
                    Kind.FILES,
                    "PUT",
                    _file(inner),
                    query={"overwrite": "true"},
                    content=content,
                    content_type="application/octet-stream",
                )
            case "Workspace":
                self._do(Kind.IMPORT, "POST", "/api/2.0/workspace/mkdirs", body={"path": posixpath.dirname(inner)})
                form, content_type = _form({"path": inner, "format": "AUTO", "overwrite": "true"}, content)
                self._do(Kind.IMPORT, "POST", "/api/2.0/workspace/import", content=form, content_type=content_type)
            case _:
                self._put_on_dbfs(inner, content)

    def _put_on_dbfs(self, path: str, content: bytes) -> None:
        if len(content) <= _BLOCK * 3 // 4:
            body = {"path": path, "contents": _base64(content), "overwrite": True}
            self._do(Kind.DBFS, "POST", "/api/2.0/dbfs/put", body=body)
            return
        # A block that is sent again may be there twice: what fails begins anew, with a handle of its own.
        self._workspace.persist(lambda: self._stream(path, content))

    def _stream(self, path: str, content: bytes) -> None:
        create = "/api/2.0/dbfs/create"
        body: dict[str, Any] = {"path": path, "overwrite": True}
        reply = self._do(Kind.DBFS, "POST", create, body=body, patience=_ONCE)
        handle = (reply.content or {}).get("handle")
        if not isinstance(handle, int):
            raise WorkspaceError(f"DBFS gave no handle to write {path} with.")
        step = _BLOCK * 3 // 4
        for start in range(0, len(content), step):
            body = {"handle": handle, "data": _base64(content[start : start + step])}
            self._do(Kind.DBFS, "POST", "/api/2.0/dbfs/add-block", body=body, patience=_ONCE)
        self._do(Kind.DBFS, "POST", "/api/2.0/dbfs/close", body={"handle": handle}, patience=_ONCE)

    def _described(self, kind: Kind, interface: str, path: str, name: str) -> int | None:
        reply = self._workspace.ask(kind, "GET", interface, query={"path": path})
        if not reply.is_fine:
            meant = self._workspace.failure(reply, interface)
            if isinstance(meant, WorkspaceNotFound):
                return _NOWHERE
            raise meant
        size = (reply.content or {}).get(name)
        return size if isinstance(size, int) else None

    def _do(self, kind: Kind, method: str, path: str, **options: Any) -> Reply:  # noqa: ANN401 -- ask's own
        reply = self._workspace.ask(kind, method, path, **options)
        self._check(reply, path)
        return reply

    def _check(self, reply: Reply, path: str) -> None:
        if not reply.is_fine:
            raise self._workspace.failure(reply, path)


_NOWHERE: Final = -1
"""The size of a file that there is not."""


def _place(path: str) -> tuple[str, str]:
    """Which interface a path belongs to, and what that calls it.

    Raises:
        WorkspaceRefused: None, or it leaves the place that it begins with.
    """
    inner = path.removeprefix("dbfs:") if path.startswith("dbfs:/Volumes/") else path
    is_dbfs = inner.startswith("dbfs:/")
    inner = inner.removeprefix("dbfs:")
    parts = inner.split("/")
    if not path.isprintable() or ".." in parts or "" in parts[1:] or "." in parts:
        raise WorkspaceRefused(f"'{path}' is no path of a file in a workspace: it has empty or relative parts.")
    if is_dbfs:
        return "dbfs", inner
    if len(parts) > 2 and parts[:2] in (["", "Volumes"], ["", "Workspace"]):  # noqa: PLR2004 -- something below it
        return parts[1], inner
    raise WorkspaceRefused(f"'{path}' is no place for files: write /Volumes/…, /Workspace/… or dbfs:/….")


def _file(path: str) -> str:
    return f"/api/2.0/fs/files{quote(path)}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _form(fields: Mapping[str, str], content: bytes) -> tuple[bytes, str]:
    """A form with a file (RFC 7578): in JSON it would be a third larger, and the interface takes 10 MB."""
    boundary = secrets.token_hex(16)
    part = f"--{boundary}\r\nContent-Disposition: form-data; name="
    parts = [f'{part}"{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    opening = f'{part}"content"; filename="content"\r\n'
    head = "".join((*parts, opening, "Content-Type: application/octet-stream\r\n\r\n")).encode()
    return b"".join((head, content, f"\r\n--{boundary}--\r\n".encode())), f"multipart/form-data; boundary={boundary}"
