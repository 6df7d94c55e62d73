"""What ``path`` parameters mean on a cluster of Databricks, as far as that can be told from here. Pure.

A path of this machine means nothing there, and one of the cluster's means nothing here. What the cluster mounts is
passed on unseen; what can only be this machine's is refused before anything is sent.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlp.data import destination, is_remote
from mlp.errors import DataInvalid, ParameterInvalid

__all__ = ["ClusterPlaces"]

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_OF_THE_CLUSTER: Final = ("/Volumes", "/Workspace", "/dbfs", "/databricks", "/local_disk0", "/mnt")
"""Where clusters have the workspace's files, its volumes and their own disks."""
_WAYS_OUT: Final = (
    "Upload it and name its URI (s3://…, dbfs:/…, https://…) or its path there (/Volumes/…), or put it into the project"
)


@dataclass(frozen=True, slots=True)
class ClusterPlaces:
    """Paths as a run on a cluster will understand them.

    Attributes:
        sent: The files that go there, from the root of what is sent.
        subdirectory: The project's directory among them.
        downloads: Whether data is downloaded for path parameters: nobody does for a project that the workspace fetches.
    """

    sent: frozenset[str]
    subdirectory: str = ""
    downloads: bool = True

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        """The value, if it can mean something there.

        Raises:
            ParameterInvalid: It is a path of this machine, or one that is not among what is sent.
        """
        del default
        if is_remote(value):
            self._check_remote(parameter, value)
        elif value.lower().startswith("file:") or posixpath.isabs(value):
            self._check_absolute(parameter, value)
        elif not _URI.match(value) and not self._is_sent(value):
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}, which is not among what is sent: a relative "
                f"path is relative to the project. {_WAYS_OUT}."
            )
        return value

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """The value: a program may be about to write there."""
        del parameter, default
        return value

    def _check_remote(self, parameter: str, value: str) -> None:
        if not self.downloads:
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}, and nobody downloads data for a project that "
                "the workspace fetches from Git. Have the project uploaded (project_source archive), or name a path "
                "there (/Volumes/…)."
            )
        try:
            destination(value, Path("/tmp"))  # noqa: S108 -- nothing is written
        except DataInvalid as error:
            raise ParameterInvalid(f"Parameter {parameter}: {error}") from None

    def _check_absolute(self, parameter: str, value: str) -> None:
        path = re.sub(r"^file:(//(localhost)?(?=/))?", "", value, flags=re.IGNORECASE)
        if any(path == place or path.startswith(f"{place}/") for place in _OF_THE_CLUSTER):
            return
        # What is not here may be there: an image of the user's own has files of its own.
        if Path(path).exists():
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}, which is a path of this machine. {_WAYS_OUT}."
            )

    def _is_sent(self, value: str) -> bool:
        path = posixpath.normpath(posixpath.join(self.subdirectory, value))
        return path == "." or path in self.sent or any(each.startswith(f"{path}/") for each in self.sent)
