"""Marks of those who use environments from elsewhere: where a lock would have to be held on another machine.

A run's pod has its environment found or built by one container and uses it in the next, which may only read: nobody is
there to hold a lock meanwhile. So the pod leaves a mark before it looks for the environment, and a collector looks for
marks after it has taken an environment away, and puts it back: whoever comes first, nothing is lost. Nor is one that
others have marked built anew in its place. A mark stays until somebody who can tell says that its pod has ended. Knows
nothing of pods: an ID, and a name for people.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.environment.volume import not_writable, refusal
from mlp.errors import UsageError, VolumeNotWritable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlp.environment.layout import Layout

__all__ = ["TRUSTED_FOR", "Marking", "Use", "User", "forget", "mark", "uses", "uses_of"]

TRUSTED_FOR: Final = 7 * 86400.0
"""Seconds for which a mark counts where nobody can ask whether its pod has ended."""

_log = logging.getLogger(__name__)

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_ATTEMPTS: Final = 20
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class User:
    """Somebody for whom no lock can be held.

    Attributes:
        id: Nobody else has that ID, ever.
        holder: The same for people, and for those who ask whether it has ended.
    """

    id: str
    holder: str


@dataclass(frozen=True, slots=True)
class Use:
    """A mark.

    Attributes:
        hash: The environment's name.
        id: Who uses it.
        holder: The same for people.
        since: When the mark was left, in seconds since 1970.
    """

    hash: str
    id: str
    holder: str
    since: float


class Marking:
    """The marks that one user leaves while it looks for its environment.

    Args:
        layout: Where they lie.
        user: Who; None leaves none.
    """

    def __init__(self, layout: Layout, user: User | None) -> None:
        self._layout = layout
        self._user = user
        self._left: dict[str, Use] = {}

    def leave(self, name: str) -> None:
        """Mark an environment, before it is looked for. A volume that can only be read may have it nevertheless.

        Raises:
            VolumeFull: There is no room for a mark.
        """
        if self._user is None or name in self._left:
            return
        try:
            self._left[name] = mark(self._layout, name, self._user)
        except VolumeNotWritable as error:
            _log.warning("Nobody can see that this run uses environment %s: it must not be deleted. %s", name, error)

    def keep(self, *names: str) -> None:
        """Remove the marks of all other environments."""
        forget(self._layout, [use for name, use in self._left.items() if name not in names])

    def is_shared(self, name: str) -> bool:
        """Whether others have marked the environment, and may still use it."""
        own = self._user.id if self._user is not None else None
        young = time.time() - TRUSTED_FOR
        return any(use.id != own and use.since > young for use in uses_of(self._layout, name))


def mark(layout: Layout, name: str, user: User) -> Use:
    """Leave a mark, before the environment is looked for.

    Raises:
        VolumeNotWritable: It cannot be written.
        VolumeFull: There is no room for it.
        UsageError: The ID cannot be a file's name.
    """
    if not _ID.fullmatch(user.id):
        raise UsageError(f"{user.id!r} cannot mark an environment as used: letters, digits and '-' can.")
    directory = layout.uses(name)
    file, being_written = directory / user.id, directory / f".{user.id}"
    # Another process may remove the directory as soon as it is made, for being empty.
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # By rename: a mark that does not say yet whose it is could be taken for that of somebody who is gone.
            being_written.write_text(user.holder, encoding="utf-8")
            being_written.rename(file)
            return Use(name, user.id, user.holder, file.stat().st_mtime)
        except FileNotFoundError as error:
            if attempt == _ATTEMPTS:
                raise not_writable(layout.root, f"{error.strerror}") from None
        except OSError as error:
            with contextlib.suppress(OSError):
                being_written.unlink()
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
