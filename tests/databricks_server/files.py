"""The files of the workspace: workspace files, volumes and DBFS, each below a directory of its own.

The REST calls that write and read them are here, and the rule of who may.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import threading
from email.utils import formatdate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.files import DbfsAPI
from databricks.sdk.service.workspace import WorkspaceAPI

from tests.databricks_server.checking import check_call
from tests.databricks_server.refusals import RefusedError, forbidden, invalid, missing

if TYPE_CHECKING:
    from tests.databricks_server.store import Store

__all__ = ["Answer", "Files"]

MOST_OF_WORKSPACE_FILE = 10 << 20
MOST_OF_BLOCK = 1 << 20
NOTEBOOK = b"# Databricks notebook source"

Answer = tuple[int, bytes, dict[str, str]]
"""Status, body and headers of an answer that is no JSON."""


class Files:
    """What is stored.

    Args:
        root: The directory of it all.
        store: Remembers which workspace objects are notebooks.
        volumes: Those that exist, as catalog.schema.volume.
        dbfs_root: Whether DBFS can be used at all.
        private_homes: Whether a home belongs to its owner alone, as it does unless an admin changes that.
    """

    def __init__(
        self,
        root: Path,
        store: Store,
        *,
        volumes: tuple[str, ...] = ("main.default.files",),
        dbfs_root: bool = True,
        private_homes: bool = True,
    ):
        self.root = root
        self.dbfs_root = dbfs_root
        self.private_homes = private_homes
        self.volumes = volumes
        self._store = store
        self._streams: dict[int, tuple[Path, bytearray]] = {}
        self._lock = threading.Lock()
        for each in ("Workspace/Users", "Workspace/Shared", "Volumes", "dbfs"):
            (root / each).mkdir(parents=True, exist_ok=True)
        for volume in volumes:
            (root / "Volumes" / volume.replace(".", "/")).mkdir(parents=True, exist_ok=True)

    # -- as a cluster sees them ----------------------------------------------------------------------------------------

    def on_cluster(self, path: str, identity: str) -> Path | None:
        """Where a file or directory is stored that a cluster names; None if it is not there, or not for this identity.

        Args:
            path: /Workspace/…, /Users/… (the same without /Workspace), /Volumes/…, /dbfs/…, dbfs:/….
            identity: Whose rights the cluster has.
        """
        if path.startswith(("dbfs:/Volumes/", "/dbfs/Volumes/")):
            path = "/Volumes/" + path.split("/Volumes/", 1)[1]
        try:
            if path.startswith(("dbfs:/", "/dbfs/")):
                found = self._dbfs(path.replace("dbfs:/", "/", 1).removeprefix("/dbfs"))
            elif path.startswith("/Volumes/"):
                found = self._volume(path)
            elif path.startswith("/"):
                found = self._workspace(path, identity)
            else:
                return None
        except RefusedError:
            return None
        if self._is_notebook(found):
            return None
        return found if found.exists() else None

    def home(self, identity: str) -> None:
        """Make an identity's home, which it has from its first login."""
        (self.root / "Workspace" / "Users" / identity).mkdir(parents=True, exist_ok=True)

    # -- workspace files -----------------------------------------------------------------------------------------------

    def mkdirs(self, body: dict[str, Any], identity: str) -> dict[str, Any]:
        check_call(WorkspaceAPI.mkdirs, body)
        path = self._workspace(body["path"], identity)
        for each in (path, *path.parents):
            if each.is_file():
                raise RefusedError(400, "RESOURCE_ALREADY_EXISTS", f"Path ({self._shown(each)}) already exists.")
            if each == self.root:
                break
        path.mkdir(parents=True, exist_ok=True)
        return {}

    def import_(self, fields: dict[str, Any], content: bytes | None, identity: str) -> dict[str, Any]:
        """workspace/import, as JSON with base64 or as a form with the file itself."""
        if content is not None:
            overwrite = fields.get("overwrite")
            checked = {**fields, **({"overwrite": overwrite == "true"} if overwrite is not None else {})}
        else:
            checked = fields
        check_call(WorkspaceAPI.import_, checked)
        if content is None:
            content = _decoded(checked.get("content", ""), "content")
        if len(content) > MOST_OF_WORKSPACE_FILE:
            raise RefusedError(
                400,
                "MAX_NOTEBOOK_SIZE_EXCEEDED",
                f"File size imported is ({len(content)} bytes), exceeded max size ({MOST_OF_WORKSPACE_FILE} bytes)",
            )
        path = self._workspace(checked["path"], identity)
        format_ = checked.get("format", "SOURCE")
        if format_ == "SOURCE" and not checked.get("language"):
            raise invalid("The zip archive is not valid, or a language is missing for the format SOURCE.")
        if format_ not in {"AUTO", "SOURCE", "RAW"}:
            raise invalid(f"The double imports no {format_}.")
        notebook = format_ == "SOURCE" or (format_ == "AUTO" and path.suffix == ".py" and content.startswith(NOTEBOOK))
        if notebook and format_ == "AUTO":
            path = path.with_suffix("")
        if not path.parent.is_dir():
            raise missing(f"The parent folder ({self._shown(path.parent)}) does not exist.")
        if path.is_dir() or (path.exists() and not checked.get("overwrite")):
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS", f"Path ({self._shown(path)}) already exists.")
        _write(path, content)
        if notebook:
            self._store.put_fact("notebook", str(path), {})
        else:
            self._store.drop_fact("notebook", str(path))
        return {}

    def workspace_status(self, query: dict[str, str], identity: str) -> dict[str, Any]:
        return self._object(self._existing(query, identity))

    def workspace_list(self, query: dict[str, str], identity: str) -> dict[str, Any]:
        path = self._existing(query, identity)
        entries = sorted(path.iterdir()) if path.is_dir() else [path]
        return {"objects": [self._object(each) for each in entries]} if entries else {}

    def workspace_export(self, query: dict[str, str], identity: str) -> dict[str, Any] | Answer:
        content = self._existing(query, identity).read_bytes()
        if query.get("direct_download") == "true":
            return 200, content, {"Content-Type": "application/octet-stream"}
        return {"content": base64.b64encode(content).decode(), "file_type": "file"}

    def workspace_delete(self, body: dict[str, Any], identity: str) -> dict[str, Any]:
        check_call(WorkspaceAPI.delete, body)
        _delete(self._existing(body, identity), recursive=bool(body.get("recursive")))
        return {}

    def _existing(self, query: dict[str, Any], identity: str) -> Path:
        path = self._workspace(query.get("path", ""), identity)
        if not path.exists():
            raise missing(f"Path ({self._shown(path)}) doesn't exist.")
        return path

    def _object(self, path: Path) -> dict[str, Any]:
        status = path.stat()
        answer: dict[str, Any] = {"path": self._shown(path), "object_id": status.st_ino}
        if path.is_dir():
            return {**answer, "object_type": "DIRECTORY"}
        if self._is_notebook(path):
            return {**answer, "object_type": "NOTEBOOK", "language": "PYTHON"}
        return {**answer, "object_type": "FILE", "size": status.st_size, "modified_at": int(status.st_mtime * 1000)}

    def _is_notebook(self, path: Path) -> bool:
        return self._store.fact("notebook", str(path)) is not None

    def _shown(self, path: Path) -> str:
        return "/" + path.relative_to(self.root / "Workspace").as_posix().removeprefix(".")

    def _workspace(self, path: str, identity: str) -> Path:
        parts = _parts(path)
        if parts[:1] == ["Workspace"]:
            parts = parts[1:]
        if parts[:1] == ["Users"] and len(parts) > 1:
            if self.private_homes and parts[1] != identity:
                raise forbidden(
                    f"{identity} does not have permissions on /{'/'.join(parts)}. Please contact the owner."
                )
            self.home(identity)
        return self.root.joinpath("Workspace", *parts)

    # -- volumes -------------------------------------------------------------------------------------------------------

    def volume_file(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
        file = self._volume(path)
        if method == "PUT":
            if file.is_dir():
                raise RefusedError(409, "ALREADY_EXISTS", "A directory exists at this path.")
            if file.exists() and query.get("overwrite") == "false":
                raise RefusedError(409, "ALREADY_EXISTS", "The file being created already exists.")
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, body)
            return 204, b"", {}
        if not file.is_file():
            raise RefusedError(404, "NOT_FOUND", "The file being accessed is not found.")
        if method == "DELETE":
            file.unlink()
            return 204, b"", {}
        status = file.stat()
        headers = {
            "Content-Type": "application/octet-stream",
            "Last-Modified": formatdate(status.st_mtime, usegmt=True),
        }
        return 200, file.read_bytes(), headers

    def volume_directory(self, method: str, path: str) -> Answer | dict[str, Any]:
        directory = self._volume(path)
        if method == "PUT":
            if directory.is_file():
                raise RefusedError(409, "ALREADY_EXISTS", "A file exists at this path.")
            directory.mkdir(parents=True, exist_ok=True)
            return 204, b"", {}
        if not directory.is_dir():
            raise RefusedError(404, "NOT_FOUND", "The directory being accessed is not found.")
        if method == "DELETE":
            if any(directory.iterdir()):
                raise RefusedError(400, "FILES_API_DIRECTORY_IS_NOT_EMPTY", "The directory is not empty.")
            directory.rmdir()
            return 204, b"", {}
        if method == "HEAD":
            return 200, b"", {}
        entries = [self._entry(each) for each in sorted(directory.iterdir())]
        return {"contents": entries} if entries else {}

    def _entry(self, path: Path) -> dict[str, Any]:
        shown = "/" + path.relative_to(self.root).as_posix()
        entry = {"path": shown, "name": path.name, "is_directory": path.is_dir()}
        if path.is_dir():
            return entry
        status = path.stat()
        return {**entry, "file_size": status.st_size, "last_modified": int(status.st_mtime * 1000)}

    def _volume(self, path: str) -> Path:
        parts = _parts(path)
        if parts[:1] != ["Volumes"] or len(parts) < 4:
            raise invalid(f"{path} is no path of a volume.")
        name = ".".join(parts[1:4])
        if name not in self.volumes:
            raise RefusedError(404, "NOT_FOUND", f"Volume '{name}' does not exist.")
        return self.root.joinpath(*parts)

    # -- DBFS ----------------------------------------------------------------------------------------------------------

    def dbfs_call(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        """One of DBFS's calls that write."""
        check_call(getattr(DbfsAPI, what.replace("-", "_")), body)
        return getattr(self, f"_dbfs_{what.replace('-', '_')}")(body)

    def dbfs_get(self, what: str, query: dict[str, str]) -> dict[str, Any]:
        path = self._dbfs(query.get("path", ""))
        if not path.exists():
            raise missing(f"No file or directory exists on path {query.get('path')}.")
        if what == "get-status":
            return self._info(path)
        if what == "list":
            entries = sorted(path.iterdir()) if path.is_dir() else [path]
            return {"files": [self._info(each) for each in entries]} if entries else {}
        offset, length = int(query.get("offset", 0)), int(query.get("length", MOST_OF_BLOCK // 2))
        if length > MOST_OF_BLOCK:
            raise RefusedError(400, "MAX_READ_SIZE_EXCEEDED", "The maximum read size is 1 MB.")
        with path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
        return {"bytes_read": len(data), "data": base64.b64encode(data).decode()}

    def dbfs_put_file(self, path: str, content: bytes, *, overwrite: bool) -> dict[str, Any]:
        """dbfs/put with the file itself in a form."""
        _write(self._to_be(path, overwrite=overwrite), content)
        return {}

    def _dbfs_put(self, body: dict[str, Any]) -> dict[str, Any]:
        content = _decoded(body.get("contents", ""), "contents")
        if len(content) > MOST_OF_BLOCK:
            raise RefusedError(400, "MAX_BLOCK_SIZE_EXCEEDED", "The maximum block size is 1 MB.")
        return self.dbfs_put_file(body["path"], content, overwrite=bool(body.get("overwrite")))

    def _dbfs_create(self, body: dict[str, Any]) -> dict[str, Any]:
        path = self._to_be(body["path"], overwrite=bool(body.get("overwrite")))
        with self._lock:
            handle = 1 + max(self._streams, default=0)
            self._streams[handle] = (path, bytearray())
        return {"handle": handle}

    def _dbfs_add_block(self, body: dict[str, Any]) -> dict[str, Any]:
        content = _decoded(body["data"], "data")
        if len(content) > MOST_OF_BLOCK:
            raise RefusedError(400, "MAX_BLOCK_SIZE_EXCEEDED", "The maximum block size is 1 MB.")
        with self._lock:
            self._stream(body)[1].extend(content)
        return {}

    def _dbfs_close(self, body: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            path, content = self._stream(body)
            del self._streams[body["handle"]]
        _write(path, bytes(content))
        return {}

    def _dbfs_mkdirs(self, body: dict[str, Any]) -> dict[str, Any]:
        self._dbfs(body["path"]).mkdir(parents=True, exist_ok=True)
        return {}

    def _dbfs_delete(self, body: dict[str, Any]) -> dict[str, Any]:
        path = self._dbfs(body["path"])
        if path.exists():
            _delete(path, recursive=bool(body.get("recursive")))
        return {}

    def _stream(self, body: dict[str, Any]) -> tuple[Path, bytearray]:
        if body["handle"] not in self._streams:
            raise missing(f"No open handle: {body['handle']}.")
        return self._streams[body["handle"]]

    def _to_be(self, path: str, *, overwrite: bool) -> Path:
        found = self._dbfs(path)
        if found.exists() and not overwrite:
            raise RefusedError(
                400, "RESOURCE_ALREADY_EXISTS", f"A file or directory already exists at the path {path}."
            )
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def _info(self, path: Path) -> dict[str, Any]:
        status = path.stat()
        shown = "/" + path.relative_to(self.root / "dbfs").as_posix().removeprefix(".")
        size = 0 if path.is_dir() else status.st_size
        modified = int(status.st_mtime * 1000)
        return {"path": shown, "is_dir": path.is_dir(), "file_size": size, "modification_time": modified}

    def _dbfs(self, path: str) -> Path:
        if not self.dbfs_root:
            raise forbidden(f"Public DBFS root is disabled. Access is denied on path: {path}")
        return self.root.joinpath("dbfs", *_parts(path.removeprefix("dbfs:")))


def _parts(path: str) -> list[str]:
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise invalid(f"Path must be absolute: {path}")
    return [part for part in path.split("/") if part not in {"", "."}]


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{name} is not base64.") from error


def _write(path: Path, content: bytes) -> None:
    """A whole file at once: who reads at the same time gets the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}.partial")
    temporary.write_bytes(content)
    temporary.replace(path)


def _delete(path: Path, *, recursive: bool) -> None:
    if not path.is_dir():
        path.unlink()
        return
    with contextlib.suppress(OSError):
        if not recursive:
            path.rmdir()
            return
    if not recursive:
        raise RefusedError(400, "DIRECTORY_NOT_EMPTY", "Folder is not empty")
    for each in path.iterdir():
        _delete(each, recursive=True)
    path.rmdir()
