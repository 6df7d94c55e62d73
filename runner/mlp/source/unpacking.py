"""Unpacking a zip archive that somebody else has made, without believing anything in it.

A name may lead out of the directory, a link too, on its own or through another one; a few kilobytes may claim to be a
terabyte; a file may stand where another's directory has to be. All names and sizes are looked at before anything is
written, no file grows beyond the size that it claims, and links are made last and then followed. Knows nothing of where
the archive is from.
"""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceUnavailable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Bounds", "unpack"]

_UNIX: Final = 3
_ENCRYPTED: Final = 0x1
_BLOCK: Final = 1 << 20
_LONGEST_TARGET: Final = 4096

# zipfile says by all of these that an archive is damaged, or packed in a way that it does not know.
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, OverflowError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large an archive may be.

    Attributes:
        packed: Bytes of the archive itself.
        unpacked: Bytes of all its files.
        members: How many files, directories and links.
    """

    packed: int = 4 << 30
    unpacked: int = 16 << 30
    members: int = 200_000


@dataclass(frozen=True, slots=True)
class _Member:
    info: zipfile.ZipInfo
    path: PurePosixPath

    @property
    def kind(self) -> int:
        """The type of file as Unix has it; 0 where the archive does not say."""
        return stat.S_IFMT(self.info.external_attr >> 16) if self.info.create_system == _UNIX else 0

    @property
    def is_directory(self) -> bool:
        return self.info.is_dir() or self.kind == stat.S_IFDIR

    @property
    def permissions(self) -> int:
        """What a file is given beside the usual; nothing that others could write."""
        return stat.S_IMODE(self.info.external_attr >> 16) & 0o755 if self.info.create_system == _UNIX else 0


def unpack(archive: Path, into: Path, *, shown: str, bounds: Bounds) -> None:
    """Unpack an archive.

    Args:
        archive: The file.
        into: An empty directory. What is in it after a failure is for the caller to remove.
        shown: What the archive is called in messages.
        bounds: How large it may be.

    Raises:
        SourceInvalid: It is no zip archive, or one that cannot or must not be unpacked.
        SourceUnavailable: There is no room on the disk.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, shown, bounds)
            _write(opened, members, into, shown)
    except _DAMAGED as error:
        raise _invalid(
            shown, f"is damaged, or no zip archive: {str(error).rstrip('.') or 'it ends too early'}"
        ) from None
    except RuntimeError as error:  # what zipfile says of a password
        raise _invalid(shown, f"cannot be unpacked: {error}") from None
    except OSError as error:
        raise _failed(error, shown) from None


def _failed(error: OSError, shown: str) -> SourceInvalid | SourceUnavailable:
    if error.errno in {None, errno.EINVAL}:  # bz2 has no error of its own, and a damaged place cannot be gone to
        return _invalid(shown, f"is damaged: {error}")
    if error.errno in {errno.ENAMETOOLONG, errno.EILSEQ, errno.EEXIST}:
        return _invalid(shown, f"has a name that cannot be written here ({error.strerror}: {error.filename})")
    return SourceUnavailable(f"The zip archive {shown} could not be unpacked: {error.strerror}.")


def _members(opened: zipfile.ZipFile, shown: str, bounds: Bounds) -> list[_Member]:
    infos = opened.infolist()
    if len(infos) > bounds.members:
        raise _invalid(shown, f"has {len(infos):,} members, and {bounds.members:,} are allowed")
    claimed = sum(info.file_size for info in infos)
    if claimed > bounds.unpacked:
        raise _invalid(shown, f"holds {claimed:,} bytes, and at most {bounds.unpacked:,} are unpacked")
    members = [_Member(info, _path(info.filename, shown)) for info in infos]
    files: dict[PurePosixPath, _Member] = {}
    directories = {PurePosixPath()}
    for member in members:
        _check(member, shown)
        directories.update(member.path.parents)
        if member.is_directory:
            directories.add(member.path)
        elif member.path in files:
            raise _invalid(shown, f"has two members called {member.path}")
        else:
            files[member.path] = member
    for path in sorted(directories & files.keys()):
        raise _invalid(shown, f"has both a file and a directory called {path}")
    return members


def _path(name: str, shown: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise SourceInvalid(f"Zip file member {name} attempts path traversal (in {shown})")
    return path


def _check(member: _Member, shown: str) -> None:
    name = member.info.filename
    if member.info.flag_bits & _ENCRYPTED:
        raise _invalid(shown, f"is encrypted ({name} is), and there is nobody to ask for its password")
    if member.kind not in {0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise _invalid(shown, f"has a member that is neither a file, a directory nor a link: {name}")


def _write(opened: zipfile.ZipFile, members: list[_Member], into: Path, shown: str) -> None:
    links = []
    for member in members:
        target = into / member.path
        if member.is_directory:
            target.mkdir(parents=True, exist_ok=True)
        elif member.kind == stat.S_IFLNK:
            links.append(member)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_file(opened, member, target)
    for member in links:
        _write_link(opened, member, into, shown)
    for member in links:
        _check_link(member, into, shown)


def _write_file(opened: zipfile.ZipFile, member: _Member, target: Path) -> None:
    # zipfile ends at the size that was claimed, and finds the checksum wrong where there was more.
    with opened.open(member.info) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink, _BLOCK)
    if member.permissions:
        target.chmod(member.permissions | stat.S_IRUSR | stat.S_IWUSR)


def _write_link(opened: zipfile.ZipFile, member: _Member, into: Path, shown: str) -> None:
    if member.info.file_size > _LONGEST_TARGET:
        raise _invalid(shown, f"has a link with a target that is too long: {member.info.filename}")
    target = os.fsdecode(opened.read(member.info))
    link = into / member.path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _check_link(member: _Member, into: Path, shown: str) -> None:
    link = into / member.path
    try:
        inside = link.resolve().is_relative_to(into.resolve()) and not link.readlink().is_absolute()
    except (OSError, RuntimeError):  # it leads to itself
        inside = False
    if not inside:
        raise _invalid(shown, f"has a link that leads out of it, or to itself: {member.info.filename}")


def _invalid(shown: str, what: str) -> SourceInvalid:
    return SourceInvalid(f"The zip archive {shown} {what}.")
