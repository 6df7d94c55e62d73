"""File systems of a test's own: small ones, and such that can only be read."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

from tests.cluster import Missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def tmpfs(directory: Path, options: str) -> Iterator[Path]:
    """A file system in memory, for as long as the block lasts. What allows none skips such tests, and fails in CI."""
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "mlp-tests", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Missing(f"no file system can be mounted, as root can: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        # Lazily: a process that is about to end may still have a file open.
        subprocess.run(["umount", "--lazy", str(directory)], check=True, capture_output=True)
