"""Projects in memory, and places that only say what they were asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.project import Invocation, MappingFiles, Project

if TYPE_CHECKING:
    from collections.abc import Mapping


class Marked:
    """Places that mark every value they are asked about, so that a test sees who was asked for what."""

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        return f"<path {parameter} {value} {'default' if default else 'given'}>"

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        return f"<uri {parameter} {value} {'default' if default else 'given'}>"


def files(mlproject: str | None = None, *paths: str, name: str = "wine") -> MappingFiles:
    """A project's files: the text of its MLproject, if it has one, and other paths."""
    return MappingFiles(name, {} if mlproject is None else {"MLproject": mlproject}, paths)


def load(mlproject: str | None = None, *paths: str) -> Project:
    return Project.load(files(mlproject, *paths))


def call(
    project: MappingFiles | str,
    entry_point: str = "main",
    parameters: Mapping[str, str] | None = None,
    *,
    shell: str = "bash",
    validate: bool = True,
) -> Invocation:
    """Load a project and resolve one call."""
    of = files(project) if isinstance(project, str) else project
    return Project.load(of).resolve(
        entry_point, parameters or {}, files=of, places=Marked(), shell=shell, validate=validate
    )


def main(command: str, parameters: str = "") -> str:
    """The text of an MLproject with one entry point; parameters in YAML's flow style."""
    declared = f"    parameters: {{{parameters}}}\n" if parameters else ""
    return f"entry_points:\n  main:\n{declared}    command: {command}\n"
