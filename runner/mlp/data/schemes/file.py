"""``file:`` URIs: what lies on this machine already, or on a volume that is mounted.

They are met as the places of a local tracking store's artifacts. Copied like everything else, so that the destination
is whole and of its own.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.data.checks import BLOCK
from mlp.data.disk import disk_error
from mlp.data.origin import Changed, Context, Item, Listing, Plan, Reply
from mlp.errors import DataInvalid, DataNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.address import Address

__all__ = ["LocalFiles", "local_path", "open_origin"]


def local_path(address: Address) -> Path:
    """The path that a ``file:`` URI names.

    Raises:
        DataInvalid: It is another machine's.
    """
    if address.host not in {"", "localhost"}:
        raise DataInvalid(f"{address.shown} names a file of the host '{address.host}'. Write file:///path.")
    return Path("/", address.path)


def open_origin(address: Address, context: Context) -> LocalFiles:
    """The way to what a ``file:`` URI names."""
    del context
    return LocalFiles(local_path(address), shown=address.shown)


class LocalFiles:
    """A file, or a directory with all below it. What symbolic links lead to is copied."""

    def __init__(self, path: Path, *, shown: str) -> None:
        self._path = path
        self.shown = shown

    def find(self) -> Listing:
        """See what there is."""
        try:
            if not self._path.is_dir():
                return Listing([self._item(self._path, "")])
            return self._walk()
        except (FileNotFoundError, NotADirectoryError):
            raise DataNotFound(f"There is no {self.shown}.") from None
        except OSError as error:
            raise disk_error(error, self.shown) from None

    def _walk(self) -> Listing:
        items, directories = [], []
        for above, below, names in os.walk(self._path, onerror=_raise, followlinks=True):
            base = Path(above)
            for name in below:
                self._refuse_circle(base, base / name)
                directories.append((base / name).relative_to(self._path).as_posix())
            items += [self._item(base / name, (base / name).relative_to(self._path).as_posix()) for name in names]
        return Listing(items, directories, directory=True)

    def _item(self, path: Path, relative: str) -> Item:
        if not path.is_file() and path.exists():
            # Opening a pipe would wait for somebody who writes into it.
            raise DataInvalid(f"{self.shown} has '{path}', which is neither a file nor a directory.")
        return Item(relative, path.stat().st_size, str(path), _version(path))

    def _refuse_circle(self, base: Path, path: Path) -> None:
        if path.is_symlink() and base.resolve().is_relative_to(path.resolve()):
            raise DataInvalid(f"{self.shown} has the link '{path}', which leads back to where it lies.")

    def plan(self, item: Item) -> Plan:
        """In one stream."""
        return Plan(version=item.version)

    @contextmanager
    def read(self, item: Item, version: str, begin: int, end: int | None) -> Iterator[Reply]:
        """Open the file."""
        del version, end
        with Path(item.key).open("rb", buffering=0) as stream:
            stream.seek(begin)
            yield Reply(iter(lambda: stream.read(BLOCK), b""), begin, item.size)

    def confirm(self, item: Item, version: str) -> None:
        """Look whether somebody has written to it meanwhile."""
        if _version(Path(item.key)) != version:
            raise Changed(f"{self.shown} is being written to.")

    def close(self) -> None:
        """Nothing is open."""


def _version(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _raise(error: OSError) -> None:
    raise error
