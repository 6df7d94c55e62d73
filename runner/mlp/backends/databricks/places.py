"""What ``path`` parameters mean on the driver of a cluster: one meaning for all who are asked before a run is there.

A path of somebody's machine means nothing there, and one of the cluster's means nothing here. What the cluster mounts
is passed on unseen; what can only be somebody's own is refused before anything is sent. Pure but for looking whether a
file is on this machine, for those who say so.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlp.data import destination, is_remote
from mlp.errors import DataInvalid, ParameterInvalid
from mlp.project import without_file_scheme

__all__ = [
    "DATA_DIRECTORY",
    "PROJECT_DIRECTORY",
    "ClusterPlaces",
    "check_here",
    "check_remote",
    "download_path",
    "not_sent",
    "path_there",
]

PROJECT_DIRECTORY: Final = "project"
"""Where the archive is unpacked, below a run's own directory on the driver."""
DATA_DIRECTORY: Final = "data"
"""Where data is downloaded to, below the same."""

_HOMES: Final = re.compile(r"~|/home/|/Users/|[A-Za-z]:[\\/]")
"""How paths of people's machines begin."""
_OF_THE_CLUSTER: Final = ("/Volumes", "/Workspace", "/dbfs", "/databricks", "/local_disk0", "/mnt")
"""Where clusters have the workspace's files, its volumes and their own disks."""
_WAYS_OUT: Final = (
    "Upload it and name its URI (s3://…, dbfs:/…, https://…) or its path there (/Volumes/…, /Workspace/…), or put it "
    "into the project"
)


def path_there(parameter: str, value: str) -> str:
    """The path on the driver that a value means, if it is no URI of something elsewhere; relative ones stay relative.

    Raises:
        ParameterInvalid: It is a path of somebody's own machine.
    """
    path = without_file_scheme(parameter, value)
    if _HOMES.match(path):
        raise ParameterInvalid(
            f"Parameter {parameter} is of type path and got {value}, which is a path of somebody's machine. "
            f"{_WAYS_OUT}."
        )
    return path


def check_here(parameter: str, value: str, path: str) -> None:
    """Refuse an absolute path that is one of this machine, from which a run is sent.

    What is not here may be there: an image of the user's own has files of its own.

    Raises:
        ParameterInvalid: There is such a file here, and it is not where clusters have theirs.
    """
    of_the_cluster = any(path == place or path.startswith(f"{place}/") for place in _OF_THE_CLUSTER)
    if posixpath.isabs(path) and not of_the_cluster and Path(path).exists():
        raise ParameterInvalid(
            f"Parameter {parameter} is of type path and got {value}, which is a path of this machine. {_WAYS_OUT}."
        )


def check_remote(parameter: str, value: str) -> None:
    """Refuse a URI that nothing can be downloaded from.

    Raises:
        ParameterInvalid: It is such a one.
    """
    download_path(parameter, value, Path("/"))


def download_path(parameter: str, value: str, into: Path) -> str:
    """Where the driver will have what a URI names.

    Raises:
        ParameterInvalid: Nothing can be downloaded from there.
    """
    try:
        return str(destination(value, into))
    except DataInvalid as error:
        raise ParameterInvalid(f"Parameter {parameter}: {error}") from None


def not_sent(parameter: str, value: str) -> ParameterInvalid:
    """The error for a relative path that the run will not have."""
    return ParameterInvalid(
        f"Parameter {parameter} is of type path and got {value}, which is not among what is sent: a relative path is "
        f"relative to the project. {_WAYS_OUT}."
    )


@dataclass(frozen=True, slots=True)
class ClusterPlaces:
    """Paths as a run on a cluster will understand them, seen from the machine that sends it.

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
            self._check_downloads(parameter, value)
            check_remote(parameter, value)
            return value
        path = path_there(parameter, value)
        check_here(parameter, value, path)
        if not posixpath.isabs(path) and not self._is_sent(path):
            raise not_sent(parameter, value)
        return value

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """The value: a program may be about to write there."""
        del parameter, default
        return value

    def _check_downloads(self, parameter: str, value: str) -> None:
        if not self.downloads:
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}, and nobody downloads data for a project that "
                "the workspace fetches from Git. Have the project uploaded (project_source archive), or name a path "
                "there (/Volumes/…)."
            )

    def _is_sent(self, value: str) -> bool:
        path = posixpath.normpath(posixpath.join(self.subdirectory, value))
        return path == "." or path in self.sent or any(each.startswith(f"{path}/") for each in self.sent)
