"""Reading a packed tree that somebody else may have made: every member is checked before anybody sees it.

A name may lead out of the tree, a link too; a few kilobytes may claim to be a terabyte, also in the headers that tar
keeps in memory. All of this is refused here, for the disk of a pod and for the operator's memory alike.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from mlp.errors import SourceInvalid
from mlp.source.bundle.links import followed
from mlp.source.unpacking import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["BOUNDS", "Member", "Tree", "check_digest", "opened"]

BOUNDS: Final = Bounds(packed=100 << 20, unpacked=512 << 20, members=50_000)
"""How large a packed tree may be, for those who pack it and for those who read it."""

_BLOCK: Final = 1 << 16
_LARGEST_HEADER: Final = 1 << 20
"""Bytes before a member, whatever they are: names, attributes, maps of sparse files, or all of it again and again."""
_GLOBAL_FIELDS: Final = 100
"""How many fields may be about all members. tar copies each for every one of them."""
_LONGEST: Final = 4096
"""Bytes of a name, and of a link's target: no system opens a longer one."""
_NAMES: Final = 16 << 20
"""Bytes of all names and targets, those of the directories above among them: a deep path has many."""
_DAMAGED: Final = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,  # tar goes down one level for each header before a member
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file or a link.

    Attributes:
        path: Relative to the root, normalised.
        size: Bytes of a file.
        executable: Whether its owner may execute it.
        target: Where a link leads to; None for a file.
    """

    path: str
    size: int
    executable: bool
    target: str | None


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything that an archive holds.

    Attributes:
        members: Files and links by their paths.
        directories: Every directory, with those that only follow from names; "" is the root.
    """

    members: dict[str, Member]
    directories: frozenset[str]

    def followed(self, path: str) -> str | None:
        """The path of the file or directory at the end of all links; None if there is none."""
        links = {member.path: member.target for member in self.members.values() if member.target is not None}
        found = followed(path, links)
        return found if found is not None and (found in self.members or found in self.directories) else None


class Archive:
    """An archive, opened for one reading from its beginning to its end."""

    def __init__(self, opened_tar: tarfile.TarFile, file: _Bounded, bounds: Bounds) -> None:
        self._tar = opened_tar
        self._file = file
        self._bounds = bounds

    def members(self) -> Iterator[tuple[Member | str, tarfile.TarInfo]]:
        """Files and links, and the path of each directory that is named, with what tar says of it."""
        count = unpacked = 0
        while (info := self._next()) is not None:
            count += 1
            if count > self._bounds.members:
                raise _invalid(f"has more than {self._bounds.members:,} members")
            path = _path(info.name)
            if info.size < 0:  # tar would go back by as much
                raise _invalid(f"has a member of {info.size} bytes: {path!r}")
            if info.isdir():
                yield path, info
                continue
            unpacked += info.size if info.isreg() else 0
            if unpacked > self._bounds.unpacked:
                raise _invalid(f"holds more than {self._bounds.unpacked:,} bytes")
            yield _member(path, info), info

    def _next(self) -> tarfile.TarInfo | None:
        with self._file.header():
            info = self._tar.next()
        # tar would keep them all, with all that their headers say.
        self._tar.members.clear()  # type: ignore[attr-defined]
        if len(self._tar.pax_headers) > _GLOBAL_FIELDS:
            raise _invalid(f"has a header of more than {_GLOBAL_FIELDS} fields for all members")
        return info

    def blocks(self, info: tarfile.TarInfo) -> Iterator[bytes]:
        """The content of the file that `members` came to last."""
        source = self._tar.extractfile(info)
        assert source is not None  # noqa: S101 -- only files are asked for
        with source:
            while block := source.read(_BLOCK):
                yield block

    def tree(self) -> Tree:
        """Look at everything.

        Raises:
            SourceInvalid: Something cannot or must not be unpacked.
        """
        members: dict[str, Member] = {}
        directories = {""}
        names = 0
        for member, _ in self.members():
            path = member if isinstance(member, str) else member.path
            for directory in (path, *_above(path)) if isinstance(member, str) else _above(path):
                if directory in directories:
                    break  # and so are those above it
                directories.add(directory)
                names += len(directory)
            if not isinstance(member, str):
                if path in members:
                    raise _invalid(f"has two members called {path!r}")
                members[path] = member
                names += len(path) + len(member.target or "")
            if names > _NAMES:
                raise _invalid(f"has names of more than {_NAMES:,} bytes in all")
        for path in sorted(directories & members.keys()):
            raise _invalid(f"has both a file and a directory called {path!r}")
        links = {member.path: member.target for member in members.values() if member.target is not None}
        for path in links:
            if followed(path, links) is None:
                raise _invalid(f"has a link that leads out of it, or in a circle: {path!r}")
        return Tree(members, frozenset(directories))


@contextmanager
def opened(content: bytes | Path, bounds: Bounds) -> Iterator[Archive]:
    """Open an archive.

    Args:
        content: The archive, or its path.
        bounds: How large it may be.

    Raises:
        SourceInvalid: It is too large, damaged, or no such archive; what the caller finds in it, too.
    """
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size > bounds.packed:
        raise _invalid(f"has {size:,} bytes, and {bounds.packed:,} are allowed")
    with _source(content) as file:
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as decompressed:
                bounded = _Bounded(decompressed, bounds)
                with bounded.header():  # of the first member
                    tar = tarfile.open(  # noqa: SIM115 -- closed below
                        fileobj=cast("BinaryIO", bounded), mode="r:", encoding="utf-8", errors="surrogateescape"
                    )
                with tar:
                    yield Archive(tar, bounded, bounds)
        except _DAMAGED as error:
            raise _invalid(f"is damaged, or no tar archive that gzip compressed: {error}") from None


def check_digest(content: bytes | Path, sha256: str) -> None:
    """Make sure that an archive is the one that was meant.

    Raises:
        SourceInvalid: It is another.
    """
    digest = hashlib.sha256()
    with _source(content) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise _invalid(
            f"is not the one that was submitted: its SHA-256 digest is {digest.hexdigest()} and not {sha256}. Submit "
            "the project again"
        )


def _source(content: bytes | Path) -> BinaryIO:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


class _Bounded:
    """What tar reads from: no further than archives may be long, and no header that fills the memory.

    tar keeps of a header what it says, in objects that take many times the room; contents it does not keep.
    """

    def __init__(self, file: gzip.GzipFile, bounds: Bounds) -> None:
        self._file = file
        # Every member has a block before it, and one that is not full; long names have more.
        self._end = bounds.unpacked + bounds.members * 4096
        self._left: int | None = None

    @contextmanager
    def header(self) -> Iterator[None]:
        """Have what is read meanwhile be a header."""
        self._left = _LARGEST_HEADER
        try:
            yield
        finally:
            self._left = None

    def read(self, size: int) -> bytes:
        if self._left is not None:
            self._left -= size
        if size < 0 or (self._left is not None and self._left < 0):
            raise _invalid(f"has a header of more than {_LARGEST_HEADER:,} bytes")
        self._check(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, position: int) -> int:
        self._check(position)
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, position: int) -> None:
        if position > self._end:
            raise _invalid(f"has more than {self._end:,} bytes inside")


def _path(name: str) -> str:
    if len(name) > _LONGEST:
        raise _invalid(f"has a name of more than {_LONGEST:,} bytes: {name[:60]!r}…")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise _invalid(f"has a name that leads out of it: {name!r}")
    return "/".join(parts)


def _member(path: str, info: tarfile.TarInfo) -> Member:
    if not path:
        raise _invalid("has a file without a name")
    if info.issym():
        if not info.linkname or len(os.fsencode(info.linkname)) > _LONGEST or "\0" in info.linkname:
            raise _invalid(f"has a link without a target that could be one: {path!r}")
        return Member(path, 0, executable=False, target=info.linkname)
    if not info.isreg() or info.issparse():
        raise _invalid(f"has a member that is neither a file, a directory nor a symbolic link: {path!r}")
    return Member(path, info.size, executable=bool(info.mode & 0o100), target=None)


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _invalid(what: str) -> SourceInvalid:
    return SourceInvalid(f"The project's archive {what}.")
