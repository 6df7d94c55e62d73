"""Marks of those who use environments from elsewhere: where a lock would have to be held on another machine.

A run's pod has its environment found or built by one container and uses it in the next, which may only read: nobody is
there to hold a lock meanwhile. So the pod leaves a mark before it looks for the environment, and a collector looks for
marks after it has taken an environment away, and puts it back: whoever comes first, nothing is lost. A mark stays until
somebody who can tell says that its pod has ended. Knows nothing of pods: an ID, and a name for people.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.environment.volume import not_writable, refusal
from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlp.environment.layout import Layout

__all__ = ["Use", "forget", "mark", "uses", "uses_of"]

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_ATTEMPTS: Final = 20
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Use:
    """A mark.

    Attributes:
        hash: The environment's name.
        id: Who uses it; nobody else has that ID, ever.
        holder: The same for people, and for those who ask whether it has ended.
        since: When the mark was left, in seconds since 1970.
    """

    hash: str
    id: str
    holder: str
    since: float


def mark(layout: Layout, name: str, *, identifier: str, holder: str) -> Use:
    """Leave a mark, before the environment is looked for.

    Raises:
        VolumeNotWritable: It cannot be written.
        VolumeFull: There is no room for it.
        UsageError: The ID cannot be a file's name.
    """
    if not _ID.fullmatch(identifier):
        raise UsageError(f"{identifier!r} cannot mark an environment as used: letters, digits and '-' can.")
    directory = layout.uses(name)
    file = directory / identifier
    # Another process may remove the directory as soon as it is made, for being empty.
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            file.write_text(holder, encoding="utf-8")
            return Use(name, identifier, holder, file.stat().st_mtime)
        except FileNotFoundError as error:
            if attempt == _ATTEMPTS:
                raise not_writable(layout.root, f"{error.strerror}") from None
        except OSError as error:
            raise refusal(error, layout.root) or not_writable(layout.root, f"{error.strerror}") from None
    raise AssertionError(_ATTEMPTS)


def uses(layout: Layout) -> list[Use]:
    """All marks."""
    marked = layout.uses("")
    names = sorted(entry.name for entry in marked.iterdir()) if marked.is_dir() else []
    return [use for name in names for use in uses_of(layout, name)]


def uses_of(layout: Layout, name: str) -> Iterator[Use]:
    """The marks of one environment."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in sorted(layout.uses(name).iterdir()):
            if not _ID.fullmatch(entry.name):
                continue
            # It may go, or be left anew, at any moment.
            with contextlib.suppress(FileNotFoundError), entry.open("rb") as file:
                holder = file.read(_LONGEST).decode(errors="replace").strip()
                yield Use(name, entry.name, holder, os.fstat(file.fileno()).st_mtime)


def forget(layout: Layout, ended: Collection[Use]) -> None:
    """Remove marks."""
    for use in ended:
        directory = layout.uses(use.hash)
        directory.joinpath(use.id).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            directory.rmdir()
