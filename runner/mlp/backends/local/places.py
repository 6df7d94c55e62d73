"""What ``path`` and ``uri`` parameters mean on this machine.

A relative path is the caller's, as in a shell. A default was written by the project's author, who mostly means a file
of the project: MLflow looks for it in the caller's directory alone, we look there first and then in the project.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlp.errors import ParameterInvalid
from mlp.project import no_such_path, without_file_scheme

if TYPE_CHECKING:
    from mlp.backends.local.downloads import Downloads

__all__ = ["LocalPlaces"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalPlaces:
    """The directories that relative paths are looked for in.

    Attributes:
        caller: Where the user stands.
        project: The project's directory.
        downloads: What has to be brought from elsewhere.
    """

    caller: Path
    project: Path
    downloads: Downloads

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        """The absolute path of a file or directory: one that exists, or one that will be downloaded.

        Raises:
            ParameterInvalid: There is none.
            DataInvalid: It lies elsewhere, where nothing can be downloaded from.
        """
        local = without_file_scheme(parameter, value)
        if (downloaded := self.downloads.plan(parameter, local)) is not None:
            return str(downloaded)
        found = self._find(parameter, local, default=default)
        if found is None:
            missing = no_such_path(parameter, value)
            if Path(local).is_absolute():
                raise missing
            sought = f"{self.caller} and {self.project}" if default else str(self.caller)
            raise ParameterInvalid(f"{missing} A relative path is looked for in {sought}.")
        return str(found)

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """The absolute path for a URI without a scheme. It need not exist: the program may be about to write it."""
        found = self._find(parameter, value, default=default) if default else None
        return str(found or _absolute(self.caller, value))

    def _find(self, parameter: str, value: str, *, default: bool) -> Path | None:
        candidates = [_absolute(base, value) for base in ((self.caller, self.project) if default else (self.caller,))]
        existing = [path for path in dict.fromkeys(candidates) if path.exists()]
        if len(existing) > 1:
            _log.warning(
                "The default %s of parameter %s is %s, found in the current directory, and not %s of the project. "
                "Give the parameter to choose.", value, parameter, *existing
            )  # fmt: skip
        return existing[0] if existing else None


def _absolute(base: Path, value: str) -> Path:
    # Not resolve(): the program should see the path that the user wrote, symbolic links and all.
    return Path(os.path.abspath(base / value))  # noqa: PTH100 -- Path.resolve() is the other thing
