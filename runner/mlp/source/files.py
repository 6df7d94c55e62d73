"""What a project's root holds, read from a directory or from a Git commit.

Both classes have the shape that mlp.project asks for (a name, the root's files, whether a path exists, a text), so a
project means the same whether it lies on a disk or in a repository that was never checked out. Neither knows what a
project is, nor how Git brought the commit.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

__all__ = ["DirectoryFiles", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The paths of one commit under a project's root, with the contents that the reader wanted.

    Attributes:
        name: The project's directory name.
        paths: Every file, by its POSIX path relative to the project's root.
        contents: What was brought, by the same paths.
    """

    name: str
    paths: frozenset[str]
    contents: Mapping[str, bytes] = field(default_factory=dict)

    def root(self) -> Collection[str]:
        """The names of the files directly in the project's root, sorted."""
        return sorted(path for path in self.paths if "/" not in path)

    def has(self, path: str) -> bool:
        """Whether the commit has a file at this path."""
        return posixpath.normpath(path) in self.paths

    def text(self, path: str) -> str:
        """The text of a file that was brought.

        Raises:
            KeyError: The file is not there, or was not asked for.
            UnicodeDecodeError: It is not UTF-8.
        """
        return self.contents[posixpath.normpath(path)].decode()


@dataclass(frozen=True, slots=True)
class DirectoryFiles:
    """A project's directory on this machine."""

    directory: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.directory.resolve().name

    def root(self) -> Collection[str]:
        """The names of the files directly in the directory, sorted."""
        return sorted(entry.name for entry in self.directory.iterdir() if entry.is_file())

    def has(self, path: str) -> bool:
        """Whether there is a file at this path, inside the directory."""
        normal = posixpath.normpath(path)
        return not normal.startswith(("/", "../")) and (self.directory / normal).is_file()

    def text(self, path: str) -> str:
        """The text of a file.

        Raises:
            OSError: The file is not there or not readable.
            UnicodeDecodeError: It is not UTF-8.
        """
        return (self.directory / path).read_text(encoding="utf-8")
