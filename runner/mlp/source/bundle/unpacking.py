"""Unpacking a bundle onto a disk, once everything in it has been looked at."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceUnavailable, UsageError
from mlp.source.bringing import clear
from mlp.source.bundle.reading import BOUNDS, check_digest, opened

if TYPE_CHECKING:
    from pathlib import Path

    from mlp.source.bundle.reading import Member
    from mlp.source.unpacking import Bounds

__all__ = ["unpack"]

_UNWRITABLE: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EEXIST, errno.EINVAL})


def unpack(archive: Path, into: Path, *, sha256: str, bounds: Bounds = BOUNDS) -> int:
    """Unpack a bundle into an empty directory. On failure nothing is left.

    Modes follow the umask; of an archive's own only the owner's right to execute counts.

    Args:
        archive: The file.
        into: An empty directory, or one that is not there yet.
        sha256: The digest that the archive has to have.
        bounds: How large it may be.

    Returns:
        How many files and links there are.

    Raises:
        SourceInvalid: It is another archive, or one that cannot or must not be unpacked.
        SourceUnavailable: There is no room on the disk, or the archive cannot be read.
        UsageError: The directory is not empty.
    """
    existed = into.is_dir()
    try:
        into.mkdir(parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise UsageError(f"{into} is not empty, so no project can be unpacked into it.")
        check_digest(archive, sha256)
        with opened(archive, bounds) as reading:
            tree = reading.tree()
    except OSError as error:
        raise _failed(error) from None
    try:
        for directory in sorted(tree.directories):
            (into / _local(directory)).mkdir(parents=True, exist_ok=True)
        _write(archive, into, bounds)
    except BaseException as error:
        clear(into) if existed else shutil.rmtree(into)
        if isinstance(error, OSError):
            raise _failed(error) from None
        raise
    return len(tree.members)


def _write(archive: Path, into: Path, bounds: Bounds) -> None:
    links: list[Member] = []
    with opened(archive, bounds) as reading:
        for member, info in reading.members():
            if isinstance(member, str):
                continue
            if member.target is not None:
                links.append(member)
                continue
            mode = 0o777 if member.executable else 0o666
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(into / _local(member.path), flags, mode), "wb") as file:
                file.writelines(reading.blocks(info))
    # Links come last: no file is written through one.
    for member in links:
        (into / _local(member.path)).symlink_to(_local(member.target or ""))


def _local(path: str) -> str:
    """A path as this machine's locale has it."""
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))


def _failed(error: OSError) -> SourceInvalid | SourceUnavailable:
    if error.errno in _UNWRITABLE:
        return SourceInvalid(
            f"The project's archive has a name that cannot be written here ({error.strerror}: {error.filename})."
        )
    return SourceUnavailable(f"The project's archive could not be unpacked: {error.strerror}.")
