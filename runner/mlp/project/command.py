"""The command of an entry point: its placeholders filled with quoted values, and undeclared parameters appended.

The result is a text for ``bash -c``. Values are quoted for the shell before they are put in, so no value can become
shell syntax; the text around the placeholders is the author's and is left alone.
"""

from __future__ import annotations

import re
import shlex
from string import Formatter
from typing import TYPE_CHECKING, Final

from mlp.errors import ParameterInvalid
from mlp.project.suggestion import did_you_mean, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlp.project.mlproject import Position

__all__ = ["fill", "with_extras"]

_FORMATTER: Final = Formatter()
_BRACES: Final = "Braces that belong to the command itself are written {{ and }}."
# One argument of a Linux process, and so the text behind bash -c, holds at most this many bytes.
_LONGEST_COMMAND: Final = 131_071
# `{alpha:>1000000000}` would ask for a gigabyte of spaces.
_WIDE: Final = re.compile(r"\d{5,}")


def fill(command: str, values: Mapping[str, str], *, given: Iterable[str], position: Position) -> str:
    """Put values into a command's placeholders: Python's format strings, with declared parameters for names.

    Args:
        command: The author's command.
        values: The declared parameters' values, unquoted.
        given: All names that the user gave, to explain a placeholder for an undeclared one.
        position: Where the command stands.

    Raises:
        ProjectInvalid: A placeholder names no declared parameter, or braces do not match.
        ParameterInvalid: The values make the command too long.
    """
    quoted = {name: shlex.quote(value) for name, value in values.items()}
    return _filled(command, quoted, frozenset(given), position)


def with_extras(command: str, extras: Mapping[str, str]) -> str:
    """Append undeclared parameters as ``--key value``, both quoted.

    A command in a YAML block ends in a newline, behind which the parameters would be a command of their own. So white
    space at the end is dropped, unless a backslash gives it a meaning.
    """
    if extras:
        stripped = command.rstrip()
        escapes = len(stripped) - len(stripped.rstrip("\\"))
        command = command if escapes % 2 else stripped
    result = " ".join([command, *(f"--{shlex.quote(key)} {shlex.quote(value)}" for key, value in extras.items())])
    _measure(len(result.encode("utf-8", "surrogateescape")))
    return result


def _filled(text: str, quoted: Mapping[str, str], given: frozenset[str], position: Position) -> str:
    try:
        fields = list(_FORMATTER.parse(text))
    except ValueError as error:
        raise position.invalid(f"the command is not a format string: {error}. {_BRACES}") from error
    parts: list[str] = []
    length = 0
    for literal, name, spec, conversion in fields:
        field = "" if name is None else _field(name, spec or "", conversion, quoted, given, position)
        parts += (literal, field)
        length += len(literal) + len(field)
        _measure(length)
    return "".join(parts)


def _field(
    name: str, spec: str, conversion: str | None, quoted: Mapping[str, str], given: frozenset[str], position: Position
) -> str:
    if name not in quoted:
        raise position.invalid(_unknown(name, quoted, given))
    value = quoted[name]
    if conversion:
        if conversion not in "rsa":
            raise position.invalid(f"the command's placeholder {{{name}!{conversion}}} has an unknown conversion.")
        value = _FORMATTER.convert_field(value, conversion)
    spec = _filled(spec, quoted, given, position)
    if _WIDE.search(spec):
        raise position.invalid(f"the command's placeholder {{{name}:{shortened(spec)}}} is too wide.")
    try:
        return format(value, spec)
    except ValueError as error:
        raise position.invalid(
            f"the command's placeholder {{{name}:{shortened(spec)}}} does not fit a text: {error}."
        ) from error


def _unknown(name: str, quoted: Mapping[str, str], given: frozenset[str]) -> str:
    shown = f"{{{shortened(name)}}}"
    base = re.split(r"[.\[]", name, maxsplit=1)[0]
    if base != name and base in quoted:
        return f"the command's placeholder {shown} asks for a part of parameter {base!r}; only {{{base}}} is possible."
    if not name.strip() or name.strip().isdecimal():
        return f"the command's placeholder {shown} names no parameter. {_BRACES}"
    if name in given:
        return (
            f"the command uses {shown}, but the entry point does not declare a parameter {name!r}. "
            "Declare it under parameters."
        )
    declared = f"declared are {', '.join(map(repr, quoted))}" if quoted else "none is declared"
    advice = did_you_mean(name, quoted)
    return f"the command uses {shown}, which is no parameter of the entry point; {declared}.{advice} {_BRACES}"


def _measure(length: int) -> None:
    if length > _LONGEST_COMMAND:
        raise ParameterInvalid(
            f"With these parameters the command is over {_LONGEST_COMMAND} bytes long, the most that one can pass to a "
            "shell. Put the long value into a file and give its path."
        )
