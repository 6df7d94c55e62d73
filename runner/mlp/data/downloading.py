"""Downloading what a URI names, so that what stands at its destination is whole whenever it stands there.

Everything is brought into a directory of its own beside the destination and moved to it at the end, by renaming. A
download that fails or is killed leaves the destination as it was. Knows no scheme.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.data.address import parse
from mlp.data.disk import disk_error
from mlp.data.names import refuse_unholdable
from mlp.data.origin import Context
from mlp.data.patience import StoppedError, patiently
from mlp.data.registry import open_origin
from mlp.data.transfer import transfer
from mlp.errors import RunCancelled

if TYPE_CHECKING:
    import threading

    from mlp.data.files import Progress
    from mlp.data.origin import Origin

__all__ = ["download"]

_log = logging.getLogger(__name__)

_THREADS: Final = 8
_PREFIX: Final = ".mlp-"


def download(
    uri: str,
    into: Path,
    *,
    tracking_uri: str | None = None,
    cancelled: threading.Event | None = None,
    progress: Progress | None = None,
) -> Path:
    """Bring what a URI names to `mlp.data.destination`. What stood there before is replaced.

    Args:
        uri: What to download: a file, an object, or all below a directory or prefix.
        into: The directory to put it into; made where it is missing.
        tracking_uri: The tracking server that runs:/, models:/ and mlflow-artifacts:/ speak of; None: the user's own.
        cancelled: Ends the download when it is set.
        progress: Called now and then, in this thread.

    Returns:
        The destination.

    Raises:
        DataError: It could not be brought.
        RunCancelled: The event was set.
    """
    address = parse(uri)
    target = into / address.name
    origin = open_origin(address, Context(tracking_uri=tracking_uri, threads=_THREADS))
    try:
        _bring(origin, target, cancelled=cancelled, progress=progress)
    finally:
        origin.close()
    return target


def _bring(origin: Origin, target: Path, *, cancelled: threading.Event | None, progress: Progress | None) -> None:
    try:
        listing = patiently(origin.find, cancelled)
    except StoppedError:
        raise RunCancelled(f"The download of {origin.shown} was cancelled.") from None
    files = [item.path for item in listing.items if listing.directory]
    refuse_unholdable(files, listing.directories, of=origin.shown)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
    except OSError as error:
        raise disk_error(error, origin.shown) from None
    try:
        arrived = work / "new"
        transfer(origin, listing, arrived, threads=_THREADS, cancelled=cancelled, progress=progress)
        try:
            _publish(arrived, target, work)
        except OSError as error:
            raise disk_error(error, origin.shown) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _publish(arrived: Path, target: Path, work: Path) -> None:
    """Move what has arrived to where it belongs, in place of what stands there."""
    if target.is_dir() or ((target.is_symlink() or target.exists()) and arrived.is_dir()):
        # A rename replaces a file by a file in one step, and nothing else.
        target.rename(work / "old")
    arrived.replace(target)
