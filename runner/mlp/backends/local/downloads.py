"""Data that ``path`` parameters name on other machines: where it will lie is known at once, it is brought later.

A command can so be formed, and a run be recorded, before a byte is transferred, and all parameters' data arrive side by
side with the building of the environment.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.backends.local.progress import Progress
from mlp.data import destination, directory_name, download, is_remote

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from contextlib import ExitStack

__all__ = ["Downloads"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Download:
    parameter: str
    uri: str
    into: Path


class Downloads:
    """What has to be brought for one run.

    Args:
        storage_dir: Where the run's directory is made, which then stays; None for a temporary one.
        cleaning: Removes a temporary one.
        directory: The run's directory itself, where whoever asks for the run has chosen it, and looks after it.
    """

    def __init__(self, storage_dir: Path | None, cleaning: ExitStack, *, directory: Path | None = None) -> None:
        self._storage_dir = storage_dir
        self._cleaning = cleaning
        self._directory = directory
        self._planned: list[_Download] = []

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the data lies, one path a parameter."""
        return tuple(destination(planned.uri, planned.into) for planned in self._planned)

    def plan(self, parameter: str, uri: str) -> Path | None:
        """Have a parameter's data brought, if it lies elsewhere.

        Returns:
            The path at which it will lie; None for a path on this machine.

        Raises:
            DataInvalid: Nothing can be downloaded from there.
        """
        if not is_remote(uri):
            return None
        into = self._own_directory() / directory_name(parameter)
        path = destination(uri, into)
        self._planned.append(_Download(parameter, uri, into))
        return path

    def tasks(self, *, tracking_uri: str | None, stop: threading.Event) -> list[Callable[[], None]]:
        """One task for each parameter, which raises DataError, or RunCancelled once the event is set.

        Args:
            tracking_uri: The tracking server that ``runs:/`` and ``mlflow-artifacts:/`` mean.
            stop: Set when the data is not wanted any more.
        """

        def task(planned: _Download) -> None:
            planned.into.mkdir(parents=True, exist_ok=True)
            progress = Progress(f"Downloading data for parameter {planned.parameter}")
            download(planned.uri, planned.into, tracking_uri=tracking_uri, cancelled=stop, progress=progress.transfer)

        return [partial(task, planned) for planned in self._planned]

    def _own_directory(self) -> Path:
        if self._directory is None:
            if self._storage_dir is None:
                # A process that the command left behind may still write there: no reason to fail at the very end.
                temporary = tempfile.TemporaryDirectory(prefix="mlp-data-", ignore_cleanup_errors=True)
                self._directory = Path(self._cleaning.enter_context(temporary))
            else:
                self._storage_dir.mkdir(parents=True, exist_ok=True)
                self._directory = Path(tempfile.mkdtemp(dir=self._storage_dir.absolute()))
                self._cleaning.callback(_remove_if_empty, self._directory)
            _log.info(
                "=== Created directory %s for downloading remote URIs passed to arguments of type 'path' ===",
                self._directory,
            )
        return self._directory


def _remove_if_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()
