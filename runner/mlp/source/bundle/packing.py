"""Packing a tree: names in order, one time, one owner and two modes for all, so that nothing but contents counts."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceUnavailable
from mlp.source.bundle.ignoring import FILE_NAME
from mlp.source.bundle.links import followed
from mlp.source.bundle.listing import list_tree
from mlp.source.bundle.reading import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["Bundle", "pack", "pack_checkout", "size_in_words"]

_TIME: Final = 315619200
"""The second of January 1980: zip archives, wheels among them, know no earlier times, in no time zone."""
_FILE: Final = 0o644
_PROGRAM: Final = 0o755
_NAMED: Final = 5
"""How many files a refusal names."""
_WORTH_NAMING: Final = 1 << 14
_GIT: Final = ".git"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A packed tree.

    Attributes:
        content: The archive.
        sha256: Its digest, 64 hexadecimal digits.
        paths: The files and links in it, in their order.
        size: Bytes of all files before they were packed.
    """

    content: bytes = field(repr=False)
    sha256: str
    paths: tuple[str, ...] = field(repr=False)
    size: int

    @property
    def files(self) -> int:
        """How many files and links are in it."""
        return len(self.paths)


class _LimitReached(Exception):  # noqa: N818 -- caught where it is worded
    """The archive has become larger than it may be."""


class _Sink(io.BytesIO):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self._limit:
            raise _LimitReached
        return super().write(data)


def pack(directory: Path, *, limit: int = BOUNDS.packed, advice: str = "") -> Bundle:
    """Pack a directory.

    Args:
        directory: The tree's root.
        limit: Bytes that the archive may have.
        advice: What else a user can do whose project is larger.

    Raises:
        SourceInvalid: It is larger; or something in it cannot be packed. Each is named.
        SourceUnavailable: A file changed while it was read.
        UsageError: Git would have to be asked, and is not there.
    """
    left_out = f"list it in {FILE_NAME}"
    unneeded = f"List in {FILE_NAME} what the run does not need, as in a .gitignore."
    return _pack(directory, list_tree(directory, most=BOUNDS.members), limit, left_out, f"{unneeded} {advice}")


def pack_checkout(directory: Path, *, limit: int = BOUNDS.packed, advice: str = "") -> Bundle:
    """Pack a commit that has just been checked out: all of it, whatever a .mlpignore or .gitignore says.

    Args:
        directory: Where it was checked out. Git's own files are left out.
        limit: Bytes that the archive may have.
        advice: What a user can do whose project is larger.

    Raises:
        SourceInvalid: It is larger; or a link in it leads out of it.
        SourceUnavailable: A file changed while it was read.
    """
    paths = sorted(_checked_out(directory, ""), key=os.fsencode)
    if len(paths) > BOUNDS.members:
        raise SourceInvalid(
            f"The commit holds {len(paths):,} files, and {BOUNDS.members:,} may be packed. {advice}".strip()
        )
    return _pack(directory, paths, limit, "remove it from the repository", advice)


def _checked_out(directory: Path, prefix: str) -> Iterator[str]:
    for entry in os.scandir(directory):
        if entry.name == _GIT:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _checked_out(directory / entry.name, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name


def _pack(directory: Path, paths: Sequence[str], limit: int, left_out: str, advice: str) -> Bundle:
    states = {path: _state(directory, path) for path in paths}
    links = {path: _target(directory, path) for path, state in states.items() if stat.S_ISLNK(state.st_mode)}
    for path in links:
        _check_link(path, links, left_out)
    sizes = {path: state.st_size for path, state in states.items() if path not in links}
    if sum(sizes.values()) > BOUNDS.unpacked:
        raise _too_large(directory, sizes, f"and {size_in_words(BOUNDS.unpacked)} may be packed", advice)
    sink = _Sink(limit)
    try:
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=sink, mtime=0) as compressed,
            tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as archive,
        ):
            for path in paths:
                _add(archive, directory, path, links.get(path))
    except _LimitReached:
        raise _too_large(directory, sizes, f"more than {size_in_words(limit)} when packed", advice) from None
    content = sink.getvalue()
    return Bundle(content, hashlib.sha256(content).hexdigest(), tuple(paths), sum(sizes.values()))


def size_in_words(size: int) -> str:
    """Bytes for people, in powers of a thousand, as file managers count."""
    if size < 1000:  # noqa: PLR2004 -- the base
        return f"{size} bytes"
    amount = float(size)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:  # noqa: PLR2004 -- what would be shown as 1000.0
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def _state(directory: Path, path: str) -> os.stat_result:
    try:
        state = (directory / path).lstat()
    except OSError as error:
        raise _changed(path) if isinstance(error, FileNotFoundError) else _unreadable(path, error) from None
    if not (stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode)):
        raise SourceInvalid(
            f"{_shown(path)} is neither a file, a directory nor a link, and cannot be packed. List it in {FILE_NAME}."
        )
    return state


def _target(directory: Path, path: str) -> str:
    try:
        return os.readlink(directory / path)  # noqa: PTH115 -- pathlib's own would write it in another way
    except OSError:
        raise _changed(path) from None


def _check_link(path: str, links: Mapping[str, str], left_out: str) -> None:
    if followed(path, links) is None:
        raise SourceInvalid(
            f"{_shown(path)} is a symbolic link that leads out of the project, or in a circle: to "
            f"{_shown(links[path])}. Where the project runs there is nothing at its end. Replace it by what it leads "
            f"to, or {left_out}."
        )


def _add(archive: tarfile.TarFile, directory: Path, path: str, target: str | None) -> None:
    member = tarfile.TarInfo(_portable(path))
    member.mtime = _TIME
    if target is not None:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, _portable(target), 0o777
        archive.addfile(member)
        return
    with _opened(directory, path) as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise _changed(path)
        member.mode, member.size = _PROGRAM if before.st_mode & stat.S_IXUSR else _FILE, before.st_size
        try:
            archive.addfile(member, file)
        except OSError as error:  # one without a number is tar's own: the file is shorter than it was
            raise (_changed(path) if error.errno is None else _unreadable(path, error)) from None
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(path)


def _opened(directory: Path, path: str) -> BinaryIO:
    """A file that is read, if it still is one: nobody waits for the other end of a pipe."""
    try:
        return os.fdopen(os.open(directory / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        raise _changed(path) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _portable(path: str) -> str:
    """A path as UTF-8 has it, whatever this machine's locale: bytes that are none stay as they are."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _changed(path: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"{_shown(path)} changed while it was packed. Try again when nobody writes to it, or list it in {FILE_NAME}."
    )


def _unreadable(path: str, error: OSError) -> SourceInvalid:
    return SourceInvalid(
        f"{_shown(path)} cannot be read: {error.strerror}. Make it readable, or list it in {FILE_NAME}."
    )


def _too_large(directory: Path, sizes: Mapping[str, int], what: str, advice: str) -> SourceInvalid:
    largest = sorted((path for path in sizes if sizes[path] >= _WORTH_NAMING), key=lambda path: (-sizes[path], path))
    named = ", ".join(f"{_shown(path)} ({size_in_words(sizes[path])})" for path in largest[:_NAMED])
    message = (
        f"{directory} is too large to be sent: {len(sizes):,} files of {size_in_words(sum(sizes.values()))}, {what}. "
        + (f"The largest: {named}. " if named else "")
        + advice
    )
    return SourceInvalid(message.rstrip())
