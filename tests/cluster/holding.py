"""Who may touch a cluster's directory: one keeper at a time, and only where the directory is a cluster's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import TYPE_CHECKING, Final

from tests.cluster import cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK: Final = ".mlp-test-cluster"
"""The file that says: this directory is a cluster's, all in it may be removed."""


class InUseError(RuntimeError):
    """A directory has a keeper already, or is not a cluster's."""


@contextlib.contextmanager
def hold(base: Path) -> Iterator[None]:
    """Hold a cluster's directory, made if need be. The lock is the directory's own: nothing of it stays anywhere."""
    base.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"{base}: a cluster runs here already") from None
        if any(base.iterdir()) and not (base / MARK).exists():
            raise InUseError(f"{base}: not empty, and not a test cluster's directory")
        (base / MARK).touch()
        yield
    finally:
        os.close(descriptor)


def remove(base: Path, name: str) -> None:
    """Remove what a cluster without processes has left: its cgroups and its directory. The directory must be held."""
    cgroups.remove(name)
    shutil.rmtree(base)
