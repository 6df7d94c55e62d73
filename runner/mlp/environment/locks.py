"""One lock file an environment, shared by everybody who builds, uses or collects it.

A lock belongs to the open file, not to the process: a builder inherits it, and so does whatever the builder starts, so
it is held until the last of them is gone, however they ended. Nobody ever unlocks; the file is closed. The time of the
lock file's last change says when the environment was last used. Lock files are never deleted while others may wait.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mlp.environment.volume import NO_LOCKS, not_writable, refusal, without_locks
from mlp.errors import RunCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["exclusive", "shared", "touch", "try_exclusive"]

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


@contextmanager
def exclusive(file: Path, *, waiting: Callable[[], None], cancelled: threading.Event | None = None) -> Iterator[int]:
    """Hold a lock alone; wait for it as long as it takes.

    Args:
        file: The lock file, made if there is none.
        waiting: Called once if somebody else holds the lock.
        cancelled: Set by whoever no longer wants it.

    Yields:
        The descriptor to hand on to processes that have to be gone before anyone else gets the lock.

    Raises:
        RunCancelled: `cancelled` was set while waiting.
        VolumeWithoutLocks: The file system has none.
        VolumeFull: There is no room for the file.
        VolumeNotWritable: The file cannot be made.
    """
    descriptor = _open(file)
    halted = cancelled or threading.Event()
    try:
        pause = _FIRST_PAUSE
        while not _try(descriptor, fcntl.LOCK_EX, file):
            if pause == _FIRST_PAUSE:
                waiting()
            # Never blocking in the kernel: a signal, a deadline and a cancellation have to be heard meanwhile.
            if halted.wait(pause):
                raise RunCancelled("The run was cancelled while it waited for its environment.")
            pause = min(pause * 2, _LONGEST_PAUSE)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def try_exclusive(file: Path) -> Iterator[int | None]:
    """Hold a lock alone if nobody else has it; None if somebody has."""
    descriptor = _open(file)
    try:
        yield descriptor if _try(descriptor, fcntl.LOCK_EX, file) else None
    finally:
        os.close(descriptor)


@contextmanager
def shared(file: Path) -> Iterator[None]:
    """Hold a lock together with others; wait while somebody has it alone.

    Where the file cannot even be opened (a read-only volume without it), nobody can collect either: that is no error.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        while not _try(descriptor, fcntl.LOCK_SH, file):
            time.sleep(_FIRST_PAUSE)
        yield
    finally:
        os.close(descriptor)


def touch(file: Path) -> None:
    """Note that the environment was used now. A volume that can only be read says nothing about use."""
    try:
        os.utime(file)
    except OSError:
        return


def _open(file: Path) -> int:
    root = file.parent.parent
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise refusal(error, root) or not_writable(root, f"{error.strerror}") from None


def _try(descriptor: int, kind: int, file: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise without_locks(file.parent.parent, f"{error.strerror}") from None
    return True
