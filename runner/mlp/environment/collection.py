"""What is in a cache of environments, and what may go: the least recently used first, never what somebody is busy with.

Last use is the time of a lock file's last change; who uses an environment without holding its lock has left a mark
(mlp.environment.uses). An environment is taken away under its lock, by a rename, so that it
is there as a whole or not at all. Its files share their blocks with the package caches, which is why those are
collected too: a package that no environment links to any more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp.environment import locks
from mlp.environment.extras import find_uv
from mlp.environment.uses import forget, uses_of
from mlp.errors import PreparationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlp.environment.layout import Layout
    from mlp.environment.uses import Use

__all__ = ["Collected", "Kept", "Marks", "collect", "survey"]


@dataclass(frozen=True, slots=True)
class Kept:
    """An environment in the cache.

    Attributes:
        hash: Its name.
        kind: ``conda`` or ``python``; empty for one that was never finished.
        file: The file that it was first built for.
        size: Bytes on the disk; what it shares with others and with the package caches is counted in each.
        created: When it was built, in seconds since 1970.
        used: When a run last asked for it.
        whole: Whether it was finished.
    """

    hash: str
    kind: str
    file: str
    size: int
    created: float
    used: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection has removed.

    Attributes:
        environments: The environments.
        packages: Entries of the conda package cache.
        busy: Environments that would have gone, had nobody been building or using them.
    """

    environments: tuple[Kept, ...] = ()
    packages: tuple[str, ...] = ()
    busy: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class Marks:
    """What marks say of environments.

    Attributes:
        layout: Where they lie.
        in_use: Hashes that count as used without a mark.
        ended: Marks that mean nothing any more.
        trusted_for: Seconds for which all others count; None: for ever.
    """

    layout: Layout
    in_use: Collection[str] = ()
    ended: Collection[Use] = ()
    trusted_for: float | None = None

    def hold(self, name: str) -> bool:
        """Whether somebody uses the environment, as far as can be known now."""
        return name in self.in_use or any(self._counts(use) for use in uses_of(self.layout, name))

    def _counts(self, use: Use) -> bool:
        over = self.trusted_for is not None and time.time() - use.since > self.trusted_for
        return not over and use not in self.ended


def survey(layout: Layout) -> list[Kept]:
    """Everything in the cache, the most recently used first."""
    found = [_kept(layout, name) for name in layout.names()]
    return sorted(found, key=lambda kept: kept.used, reverse=True)


def _kept(layout: Layout, name: str) -> Kept:
    record: dict[str, Any] = layout.record(name) or {}
    created = float(record.get("built", 0.0))
    return Kept(
        hash=name,
        kind=str(record.get("kind", "")),
        file=str(record.get("file", "")),
        size=sum(_blocks(layout.prefix(name)).values()),
        created=created,
        used=max(created, _changed(layout.lock(name))),
        whole=bool(record),
    )


def collect(
    layout: Layout,
    *,
    unused_for: float | None,
    keep: int | None,
    max_size: int | None,
    marks: Marks,
    dry_run: bool,
) -> Collected:
    """Remove environments and packages; see `mlp.environment.cache.EnvironmentCache.prune`."""
    now = time.time()
    gone: list[Kept] = []
    busy: list[Kept] = []
    for kept in _superfluous(layout, now, unused_for=unused_for, keep=keep, max_size=max_size):
        (gone if _take_away(layout, kept, marks, dry_run=dry_run) else busy).append(kept)
    packages: list[str] = []
    if not dry_run:
        forget(layout, marks.ended)
        _empty_trash(layout)
        _forget_builds(layout)
        packages = list(_collect_conda_packages(layout.caches / "pkgs", older_than=now - (unused_for or 0.0)))
        _collect_wheels(layout.caches / "uv", everything=not any(layout.names()))
    return Collected(tuple(gone), tuple(packages), tuple(busy))


def _superfluous(
    layout: Layout, now: float, *, unused_for: float | None, keep: int | None, max_size: int | None
) -> Iterator[Kept]:
    """What should go, the least recently used first: any of the limits that were given suffices."""
    blocks: dict[tuple[int, int], int] = {}
    chosen: list[Kept] = []
    there = survey(layout)
    for number, kept in enumerate(kept for kept in there if kept.whole):
        blocks |= _blocks(layout.prefix(kept.hash)) if max_size is not None else {}
        if (
            (unused_for is not None and now - kept.used >= unused_for)
            or (keep is not None and number >= keep)
            or (max_size is not None and sum(blocks.values()) > max_size)
        ):
            chosen.append(kept)
    # What was never finished belongs to a builder that is at work, which its lock will tell, or to nobody.
    yield from (kept for kept in there if not kept.whole)
    yield from reversed(chosen)


def _take_away(layout: Layout, kept: Kept, marks: Marks, *, dry_run: bool) -> bool:
    lock = layout.lock(kept.hash)
    with locks.try_exclusive(lock) as descriptor:
        if descriptor is None:
            return False
        if marks.hold(kept.hash) or (kept.whole and _changed(lock) > kept.used):
            return False
        if not kept.whole and layout.record(kept.hash) is not None:  # its builder has come to its end meanwhile
            return False
        if dry_run:
            return True
        away = layout.move_away(kept.hash)
        # A run that asked at this very moment has found it whole, and noted its wish before it looked.
        if away and kept.whole and (marks.hold(kept.hash) or _changed(lock) > kept.used):
            away.rename(layout.prefix(kept.hash))
            return False
    if away:
        shutil.rmtree(away, ignore_errors=True)
    return True


def _empty_trash(layout: Layout) -> None:
    """Remove what killed processes have left there. What lies there under its lock may still be put back."""
    for entry in layout.trash.iterdir() if layout.trash.is_dir() else ():
        with locks.try_exclusive(layout.lock(entry.name.partition(".")[0])) as descriptor:
            if descriptor is not None:
                shutil.rmtree(entry, ignore_errors=True)


def _forget_builds(layout: Layout) -> None:
    """Remove what killed builders had fetched, unless such a build is going on again."""
    builds = layout.caches / "builds"
    for entry in builds.iterdir() if builds.is_dir() else ():
        with locks.try_exclusive(layout.lock(entry.name)) as descriptor:
            if descriptor is not None:
                shutil.rmtree(entry, ignore_errors=True)


def _collect_conda_packages(cache: Path, *, older_than: float) -> Iterator[str]:
    """Remove packages that no environment links to, and what killed builders have left half unpacked."""
    if not cache.is_dir():
        return
    # Held by every builder for as long as it installs.
    with locks.try_exclusive(cache / ".cache.lock") as descriptor:
        if descriptor is None:
            return
        for entry in sorted(cache.iterdir()):
            if not entry.is_dir():
                continue
            half_unpacked = entry.name.startswith(".")
            if not half_unpacked and (_changed(entry) > older_than or _is_linked(entry)):
                continue
            shutil.rmtree(entry, ignore_errors=True)
            cache.joinpath(f"{entry.name}.lock").unlink(missing_ok=True)
            yield entry.name


def _collect_wheels(cache: Path, *, everything: bool) -> None:
    if not cache.is_dir():
        return
    try:
        uv = find_uv()
    except PreparationError:
        return
    # Where a build is using the cache, the next collection will do.
    variables = {**os.environ, "UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1", "UV_LOCK_TIMEOUT": "5"}
    what = "clean" if everything else "prune"
    subprocess.run([uv, "cache", what], env=variables, cwd=cache.parent, capture_output=True, check=False)


def _is_linked(directory: Path) -> bool:
    return any(status.st_nlink > 1 for status in _statuses(directory))


def _blocks(directory: Path) -> dict[tuple[int, int], int]:
    """Bytes on the disk by file, so that a file with several names counts once."""
    return {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in _statuses(directory)}


def _statuses(directory: Path) -> Iterator[os.stat_result]:
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                yield Path(parent, name).lstat()
            except FileNotFoundError:
                continue


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
