"""MLflow's `download_artifacts`, for driver programs that read what a run has written.

The same arguments and the same answer: a path of this machine as text. Knows no scheme.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.data.address import parse
from mlp.data.downloading import download
from mlp.data.origin import Context
from mlp.errors import DataNotFound, UsageError

if TYPE_CHECKING:
    import os

__all__ = ["download_artifacts"]


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | os.PathLike[str] | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Bring artifacts to this machine. Either ``artifact_uri`` or ``run_id`` is given.

    Args:
        artifact_uri: Any URI that `mlp.data.download` takes.
        run_id: The run whose artifacts are meant.
        artifact_path: Which of them, relative to the run's artifacts; without it all.
        dst_path: The directory to put them into, made where it is missing. Without it a new temporary directory, which
            is the caller's to remove; what lies on this machine already is then not copied.
        tracking_uri: The tracking server; without it the user's own.

    Returns:
        The path of the file or directory.

    Raises:
        UsageError: Neither or both are given.
        DataError: It could not be brought.
    """
    if (artifact_uri is None) == (run_id is None):
        raise UsageError("Give download_artifacts either artifact_uri or run_id.")
    if artifact_uri is not None:
        if artifact_path is not None:
            raise UsageError("Give download_artifacts artifact_path with run_id only; artifact_uri holds the path.")
        uri = artifact_uri
    else:
        uri = f"runs:/{run_id}/{(artifact_path or '').strip('/')}"
    if dst_path is None and (here := _here(uri, tracking_uri)) is not None:
        return str(here)
    into = Path(tempfile.mkdtemp(prefix="mlp-artifacts-")) if dst_path is None else Path(dst_path)
    return str(download(uri, into, tracking_uri=tracking_uri))


def _here(uri: str, tracking_uri: str | None) -> Path | None:
    """The path of what lies on this machine already."""
    from mlp.data.schemes.file import local_path  # noqa: PLC0415 -- schemes are loaded when they are met
    from mlp.data.schemes.runs import follow  # noqa: PLC0415

    address = parse(uri)
    if address.scheme == "runs":
        address = follow(address, Context(tracking_uri=tracking_uri))
    if address.scheme != "file":
        return None
    path = local_path(address)
    if not path.exists():
        raise DataNotFound(f"There is no {address.shown}.")
    return path
