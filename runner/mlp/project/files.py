"""The two doors through which a project meets the world: the files it is made of, and the places its parameters name.

Reading a project and forming its command has to be the same on a laptop, in the operator and in a test, so this package
opens no file and asks no server. Whoever calls it brings the files (a checked-out directory, a Git tree of which only
one blob was fetched, a mapping) and says what a path or a URI means where the command will run.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["MappingFiles", "Places", "ProjectFiles", "inside", "is_project_file", "project_file"]

_PROJECT_FILE: Final = "MLproject"


class ProjectFiles(Protocol):
    """What lies in a project's root directory and below it."""

    @property
    def name(self) -> str:
        """The directory's name, which is the project's name unless its file gives another."""

    def root(self) -> Collection[str]:
        """The names of the files (not directories) directly in the root."""

    def has(self, path: str) -> bool:
        """Whether there is a file at this POSIX path relative to the root."""

    def text(self, path: str) -> str:
        """The text of a file, read as UTF-8.

        Raises:
            KeyError: There is no such file, or its text was not brought.
            OSError: The file could not be read.
            UnicodeDecodeError: It is not UTF-8.
        """


class Places(Protocol):
    """What values of the types ``path`` and ``uri`` mean where the command will run.

    Both methods return the text that goes into the command in place of the value. They raise
    `mlp.errors.ParameterInvalid`; `no_such_path` and `expected_uri` build the usual messages.
    """

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        """The local path that stands for a value of type path, which may be a remote URI.

        Args:
            parameter: The parameter's name.
            value: What the user gave, or the default in the project's file. Never empty.
            default: Whether it is the default.
        """

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """What stands for a value of type uri that has no scheme, that is: a path. One with a scheme is left as it is.

        Args:
            parameter: The parameter's name.
            value: What the user gave, or the default in the project's file. Never empty.
            default: Whether it is the default.
        """


@dataclass(frozen=True, slots=True)
class MappingFiles:
    """Files that are already in memory.

    Attributes:
        name: The project directory's name.
        texts: Texts by POSIX path relative to the root.
        paths: Further files that exist and whose text nobody needs.
    """

    name: str
    texts: Mapping[str, str] = field(default_factory=dict)
    paths: Collection[str] = ()

    def root(self) -> Collection[str]:
        """The names of the files directly in the root."""
        return [path for path in (*self.texts, *self.paths) if "/" not in path]

    def has(self, path: str) -> bool:
        """Whether there is a file at this path."""
        return path in self.texts or path in self.paths

    def text(self, path: str) -> str:
        """The text of a file; KeyError where there is none."""
        return self.texts[path]


def is_project_file(name: str) -> bool:
    """Whether a file of this name in a project's root describes the project. Readers have to bring its text."""
    return name.lower() == _PROJECT_FILE.lower()


def project_file(names: Collection[str]) -> str | None:
    """Choose the file that describes the project.

    MLflow takes whichever the file system lists first. To mean the same on every machine, the usual spelling wins, then
    the first in the order of their names.
    """
    candidates = sorted(filter(is_project_file, names))
    return _PROJECT_FILE if _PROJECT_FILE in candidates else next(iter(candidates), None)


def inside(path: str) -> str | None:
    """Normalize a POSIX path relative to the root; None if it leads out of the project."""
    normal = posixpath.normpath(path)
    return None if normal.startswith(("/", "../")) or normal == ".." else normal
