"""What paths and URIs mean in a run's pod. Pure: from a parameter's text to the text that the command gets.

A pod has the project, what is mounted and what is downloaded for it. A path of the machine from which a run was
submitted means nothing there, and is refused before there is a pod instead of being looked for in vain.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote, urlsplit

from mlp.data import destination, directory_name, is_remote
from mlp.errors import DataInvalid, ParameterInvalid
from mlp.resources import names
from mlp.resources.plan import PlannedDownload

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PodPlaces"]

_OWN: Final = "/mlp"
_HOMES: Final = re.compile(r"~|/home/|/Users/|/root/|[A-Za-z]:[\\/]")
"""How paths of people's machines begin."""


@dataclass(frozen=True, slots=True)
class PodPlaces:
    """The places of one pod.

    Attributes:
        root: The project's directory in it, to which relative paths are relative.
        mounts: Where the run mounts volumes.
        own_image: Whether the command runs in an image of the user's, which may hold any path.
        downloads: What has to be brought, as far as `path` has been asked.
    """

    root: str
    mounts: tuple[str, ...] = ()
    own_image: bool = False
    downloads: list[PlannedDownload] = field(default_factory=list)

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        """A path of the pod: of the project, of a volume, or of what will be downloaded.

        Raises:
            ParameterInvalid: It is a path of another machine, or a URI that nothing can be downloaded from.
        """
        del default
        if is_remote(value):
            return self._download(parameter, value)
        local = _without_scheme(parameter, value)
        return self._here(parameter, value, posixpath.normpath(posixpath.join(self.root, local)))

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """A URI without a scheme is a path of the pod; what it names need not be there yet."""
        del parameter, default
        return posixpath.normpath(posixpath.join(self.root, value))

    def _download(self, parameter: str, uri: str) -> str:
        into = PurePosixPath(names.DATA_DIRECTORY, directory_name(parameter))
        try:
            # Paths of a pod, wherever the operator runs.
            path = str(destination(uri, cast("Path", into)))
        except DataInvalid as error:
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path, and cannot be downloaded: {error}"
            ) from None
        self.downloads.append(PlannedDownload(parameter=parameter, uri=uri, path=path))
        return path

    def _here(self, parameter: str, value: str, path: str) -> str:
        if any(_below(path, place) for place in (_OWN, *self.mounts)):
            return path
        if self.own_image and not _HOMES.match(value):
            return path
        raise ParameterInvalid(
            f"Parameter {parameter} is of type path and got {value}, which is no path of the run's pod: a pod has the "
            f"project ({self.root}, to which relative paths are relative) and what is mounted. Send a small file along "
            f"(`mlp submit -P {parameter}=@file`), name its URI (s3://…, https://…), or mount a volume with "
            "spec.backend.kubernetes.volumes and volumeMounts and give the path below it."
        )


def _without_scheme(parameter: str, value: str) -> str:
    if value.lower().startswith("file:"):
        parts = urlsplit(value)
        if parts.netloc not in ("", "localhost"):
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}, which lies elsewhere: a file URI names a path "
                f"of the run's pod. Write file://{parts.path or '/PATH'}."
            )
        return unquote(parts.path)
    # Not a part of the project: it would be looked for as one.
    return f"/{value}" if _HOMES.match(value) and not value.startswith("/") else value


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
