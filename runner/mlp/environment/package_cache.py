"""The cache of conda packages that all builders share, without one waiting for another's downloads.

rattler locks the first layer of a cache that it can write to for a whole installation, downloads included. So every
build gets a layer of its own in front of the shared one, which it only reads, and what it has fetched moves over
afterwards. The layer of a build that was killed stays: the next build of that environment goes on with it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlp.environment.order import Order

__all__ = ["layers"]


@contextmanager
def layers(order: Order) -> Iterator[list[str]]:
    """The layers to install from, the build's own first. Where the block ends well, all its packages become shared."""
    common = order.cache("pkgs")
    own = order.cache("builds") / order.name
    own.mkdir(exist_ok=True)
    # Held together with other builders, so that no collector takes away what is about to be linked.
    with _locked(common / ".cache.lock", fcntl.LOCK_SH):
        there_before = {entry.name for entry in common.iterdir()}
        yield [str(own), str(common), *order.settings.package_layers]
        with _locked(common / ".promotion.lock", fcntl.LOCK_EX):
            for entry in sorted(own.iterdir()):
                if entry.is_dir() and not entry.name.startswith("."):
                    # What rattler fetched although it was there is broken there, or another package of that name.
                    _promote(entry, common, replace=entry.name in there_before)
    shutil.rmtree(own, ignore_errors=True)


def _promote(package: Path, common: Path, *, replace: bool) -> None:
    """Move a package into the shared layer, with the file in which rattler notes what it is."""
    note = package.with_name(f"{package.name}.lock")
    target, target_note = common / package.name, common / note.name
    if not note.exists() or (target_note.exists() and target.exists() and not replace):
        return
    if target.exists():
        away = common / f".{package.name}-{uuid.uuid4().hex[:8]}"
        target.rename(away)
        shutil.rmtree(away, ignore_errors=True)
    package.rename(target)
    note.rename(target_note)


@contextmanager
def _locked(file: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
