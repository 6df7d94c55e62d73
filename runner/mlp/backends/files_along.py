"""Small files of this machine that go along with a run: the command finds each where its parameter says.

They travel in a ConfigMap that is mounted in container "main", whatever the project comes from. No cluster is known.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.cargo import CONFIG_MAP_LIMIT
from mlp.data import directory_name
from mlp.errors import ParameterInvalid
from mlp.source.bundle.packing import size_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILES_DIRECTORY", "FilesAlong", "split_files"]

Object = dict[str, Any]

FILES_DIRECTORY: Final = "/var/run/mlp/files"
"""Where they lie in the pod, each in a directory of its parameter's name."""

_VOLUME: Final = "mlp-files"
_KEY: Final = "file-{number}"
"""Keys have a smaller alphabet than files' names."""


def split_files(parameters: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Path]]:
    """Parameters that are values, and those that name a file to be sent along: ``@FILE``. ``@@text`` is ``@text``."""
    values, files = {}, {}
    for name, value in parameters.items():
        if value.startswith("@@") or not value.startswith("@"):
            values[name] = value.removeprefix("@") if value.startswith("@@") else value
        else:
            files[name] = Path(value[1:])
    return values, files


class FilesAlong:
    """Files that are sent along, read.

    Args:
        files: By the parameter that each is the value of.

    Raises:
        ParameterInvalid: One is not there or no file, or all of them are too large.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._names = {parameter: _name(parameter, path) for parameter, path in files.items()}
        self.contents: dict[str, bytes] = {}
        """What the ConfigMap holds, by key."""
        for number, (parameter, path) in enumerate(files.items()):
            left = CONFIG_MAP_LIMIT - sum(map(len, self.contents.values()))
            content = _read(parameter, path, left + 1)
            if len(content) > left:
                raise ParameterInvalid(
                    f"Parameter {parameter}: {path} is too large to be sent along; all such files together may have "
                    f"{size_in_words(CONFIG_MAP_LIMIT)}. Upload it, and give its URI (s3://…, https://…)."
                )
            self.contents[_KEY.format(number=number)] = content

    @property
    def parameters(self) -> dict[str, str]:
        """The values that the command gets."""
        return {
            parameter: posixpath.join(FILES_DIRECTORY, directory_name(parameter), name)
            for parameter, name in self._names.items()
        }

    def pod(self, config_map_name: str) -> Object:
        """The fields of spec.backend.kubernetes that mount them.

        Args:
            config_map_name: The ConfigMap that they are in.
        """
        if not self.contents:
            return {}
        mounts = [
            {"name": _VOLUME, "mountPath": path, "subPath": _KEY.format(number=number), "readOnly": True}
            for number, path in enumerate(self.parameters.values())
        ]
        return {"volumes": [{"name": _VOLUME, "configMap": {"name": config_map_name}}], "volumeMounts": mounts}

    def said(self) -> str:
        """What and how much is sent, for people; empty if nothing is."""
        if not self.contents:
            return ""
        size = size_in_words(sum(map(len, self.contents.values())))
        return f"Sending along {', '.join(f'{name} as {key}' for key, name in self._names.items())}, {size}"


def _name(parameter: str, path: Path) -> str:
    name = path.name or path.resolve().name
    # A mount's path is separated from others by colons; what is not UTF-8 no JSON can hold.
    if ":" in name or not name.isprintable():
        raise ParameterInvalid(f"Parameter {parameter}: no file called {name!r} can be sent along. Rename it.")
    return name


def _read(parameter: str, path: Path, most: int) -> bytes:
    if path.is_dir():
        raise ParameterInvalid(
            f"Parameter {parameter}: {path} is a directory, and only files are sent along. Put it into the project, or "
            "upload it and give its URI (s3://…)."
        )
    if path.exists() and not path.is_file():
        raise ParameterInvalid(f"Parameter {parameter}: {path} is not an ordinary file.")
    try:
        with path.open("rb") as file:
            return file.read(most)
    except FileNotFoundError:
        hint = f" For the text '@{path}' itself write '@@{path}'."
        raise ParameterInvalid(f"Parameter {parameter}: there is no file {path} to be sent along.{hint}") from None
    except OSError as error:
        raise ParameterInvalid(f"Parameter {parameter}: {path} cannot be read: {error.strerror}.") from None
