"""What an environment file says, whichever kind it is. Texts and their places; nothing has been looked up yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlp.environment.requirements import Line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.project.values import Value

__all__ = ["Declared", "place", "requirement_lines"]


@dataclass(frozen=True, slots=True)
class Declared:
    """The content of an environment file.

    Attributes:
        channels: Channels as written.
        conda: Match specs in one form each.
        python: The interpreter's version.
        build: pip's lines that come before all others.
        pip: pip's lines.
        variables: Variables to set.
    """

    channels: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    python: str | None = None
    build: tuple[Line, ...] = ()
    pip: tuple[Line, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def place(value: Value) -> str:
    """Where a value stands, for a message."""
    return f"{value.position.file}:{value.position.line}"


def requirement_lines(value: Value | None, what: str) -> tuple[Line, ...]:
    """A list of pip's lines.

    Raises:
        ProjectInvalid: It is no list, or something in it is not a text.
    """
    if value is None:
        return ()
    if not isinstance(value.data, list):
        raise value.invalid(f"{what} is {value.kind}, but it must be a list, such as [numpy==2.1.0].")
    lines = []
    for item in value.items():
        if not isinstance(item.data, str):
            raise item.no_text(f"an entry of {what}")
        # A YAML block of several lines is as many requirements.
        lines += [Line(line, place(item)) for line in item.data.splitlines()]
    return tuple(lines)
