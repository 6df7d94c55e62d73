"""Every scheme that no module of ours knows, through fsspec: gs://, abfss://, hdfs://, ftp:// and many more.

fsspec's own packages hold the credentials' ways and the streams; what is asked of them here is the least that all of
them do. They are not asked for checksums: sizes are compared.
"""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from mlp.data.checks import BLOCK
from mlp.data.origin import Changed, Context, Item, Listing, Plan, Reply
from mlp.data.registry import PACKAGES, SCHEMES
from mlp.errors import DataAccessDenied, DataInvalid, DataNotFound, DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.address import Address

__all__ = ["ForeignFiles", "open_origin"]

# The older names for the same places in Azure, whose hosts have another word in the middle.
_SAME: Final = {"wasb": "abfs", "wasbs": "abfss"}


def open_origin(address: Address, context: Context) -> ForeignFiles:
    """The way to what a URI names, by the package that knows its scheme.

    Raises:
        DataInvalid: There is no such package, or it is not installed.
    """
    del context
    package = PACKAGES.get(address.scheme, "")
    wanted = " ".join(dict.fromkeys(("fsspec", package or "fsspec")))
    try:
        import fsspec  # noqa: PLC0415 -- it may be missing
        from fsspec.core import url_to_fs  # noqa: PLC0415
    except ImportError:
        if not package:
            raise _unknown(address) from None
        raise DataInvalid(f"{address.scheme}:// needs the packages of fsspec: pip install {wanted}.") from None
    if _SAME.get(address.scheme, address.scheme) not in fsspec.available_protocols():
        if not package:
            raise _unknown(address)
        raise DataInvalid(f"{address.scheme}:// needs a package that is not installed: pip install {wanted}.")
    try:
        files, path = url_to_fs(_renamed(address))
    except ImportError as error:
        raise DataInvalid(
            f"{address.scheme}:// needs a package that is not installed ({error}): pip install {wanted}."
        ) from None
    except (ConnectionError, TimeoutError, socket.gaierror) as error:
        raise DataUnavailable(f"{address.shown} cannot be reached: {_kind(error)}.") from None
    except Exception as error:  # noqa: BLE001 -- each package raises its own, for credentials that it misses
        raise DataAccessDenied(f"{address.shown} cannot be opened: {_kind(error)}.") from None
    return ForeignFiles(files, str(path), shown=address.shown)


def _renamed(address: Address) -> str:
    if address.scheme not in _SAME:
        return address.uri
    rest = address.uri[len(address.scheme) :]
    return _SAME[address.scheme] + rest.replace(".blob.", ".dfs.", 1)


def _unknown(address: Address) -> DataInvalid:
    known = ", ".join(sorted({*SCHEMES, *PACKAGES}))
    return DataInvalid(f"Nothing can be downloaded from {address.scheme}://. The schemes are {known}.")


class ForeignFiles:
    """A file or a directory in one of fsspec's file systems."""

    def __init__(self, files: Any, path: str, *, shown: str) -> None:  # noqa: ANN401 -- fsspec has no types
        self._files = files
        self._path = path.rstrip("/") or path
        self.shown = shown

    def find(self) -> Listing:
        """Ask for the names."""
        with self._explained():
            entry = self._files.info(self._path)
            if entry.get("type") != "directory":
                return Listing([Item("", entry.get("size"), self._path)])
            found = self._files.find(self._path, withdirs=True, detail=True)
        items, directories = [], []
        root = self._files._strip_protocol(self._path).rstrip("/") + "/"  # noqa: SLF001 -- there is no public way
        for key, each in found.items():
            path = str(key).removeprefix(root).rstrip("/")
            if not path or f"{path}/" == root:
                continue
            if each.get("type") == "directory":
                directories.append(path)
            else:
                items.append(Item(path, each.get("size"), str(key)))
        return Listing(items, directories, directory=True)

    def plan(self, item: Item) -> Plan:
        """In one stream."""
        del item
        return Plan()

    @contextmanager
    def read(self, item: Item, version: str, begin: int, end: int | None) -> Iterator[Reply]:
        """Open a file at a place."""
        del version, end
        with self._explained():
            stream = self._files.open(item.key, "rb", cache_type="none", block_size=16 * BLOCK)
        with closing(stream):
            yield Reply(self._blocks(stream, begin), begin, item.size)

    def _blocks(self, stream: BinaryIO, begin: int) -> Iterator[bytes]:
        while True:
            with self._explained():
                if begin:
                    stream.seek(begin)
                    begin = 0
                block = stream.read(BLOCK)
            if not block:
                return
            yield block

    def confirm(self, item: Item, version: str) -> None:
        """See whether the size is still the same."""
        del version
        with self._explained():
            self._files.invalidate_cache()
            size = self._files.info(item.key).get("size")
        if item.size is not None and size != item.size:
            raise Changed(f"{self.shown} is being written to.")

    def close(self) -> None:
        """The package closes its connections when the program ends."""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise DataNotFound(f"There is no {self.shown}, or these credentials may not see it.") from None
        except PermissionError as error:
            raise DataAccessDenied(f"{self.shown} may not be read: {_kind(error)}.") from None
        except ImportError as error:
            raise DataInvalid(f"{self.shown} needs a package that is not installed: {error}.") from None
        except Exception as error:  # noqa: BLE001 -- each package raises its own
            raise DataUnavailable(f"{self.shown} could not be read: {_kind(error)}.") from None


def _kind(error: BaseException) -> str:
    """An error without its message: a package may put a signed URL or a key into that."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__} ({said})" if said else type(error).__name__
