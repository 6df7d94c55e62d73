"""Whether the names of a listing can be a directory of this machine.

An object store's keys are plain text: nothing there keeps "a" from standing beside "a/b", or ".." from being a part of
a key. A directory cannot hold the former, and the latter would be written somewhere else. So all names are looked at
before the first byte is written; one that will not do refuses the whole download. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.data.address import LONGEST_NAME
from mlp.errors import DataInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["refuse_unholdable"]


def refuse_unholdable(files: Iterable[str], directories: Iterable[str], *, of: str) -> None:
    """Look at all names of a listing.

    Args:
        files: Paths below the directory that is downloaded, their parts separated by "/".
        directories: The same for directories that are named without anything in them.
        of: What is downloaded, for the message.

    Raises:
        DataInvalid: A file system cannot hold one of them, or not beside another.
    """
    seen: set[str] = set()
    parents: set[str] = set()
    for path in files:
        _refuse(path, of=of)
        if path in seen:
            raise DataInvalid(f"{of} lists {path!r} twice.")
        seen.add(path)
        parents.update(_above(path))
    for path in directories:
        _refuse(path, of=of)
        parents.update((path, *_above(path)))
    if both := seen & parents:
        path = min(both)
        raise DataInvalid(
            f"{of} has both an object {path!r} and objects below {path + '/'!r}; on a file system a name is either a "
            f"file or a directory. Name a deeper prefix, or rename one of them."
        )


def _refuse(path: str, *, of: str) -> None:
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            what = "an empty part" if not part else f"the part {part!r}"
            raise DataInvalid(f"{of} has an object {path!r} with {what} in its name, which no file can be called by.")
        if "\0" in part:
            raise DataInvalid(f"{of} has an object {path!r} with a NUL character in its name.")
        if len(part.encode(errors="surrogateescape")) > LONGEST_NAME:
            raise DataInvalid(
                f"{of} has an object with the name {part[:40]!r}…, which is longer than {LONGEST_NAME} bytes, as no "
                f"file's may be."
            )


def _above(path: str) -> Iterable[str]:
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path
