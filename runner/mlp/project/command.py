"""The command of an entry point: its placeholders filled with quoted values, and undeclared parameters appended.

The result is a text for ``bash -c``. Values are quoted for the shell before they are put in, so no value can become
shell syntax; the text around the placeholders is the author's and is left alone. A value that must not be seen is
never put in: a reference to a variable stands in its place, written so that the shell makes one word of it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from string import Formatter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mlp.errors import ParameterInvalid
from mlp.project.quoting import Quoting, Scanner
from mlp.project.suggestion import did_you_mean, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mlp.errors import ProjectInvalid
    from mlp.project.values import Position

__all__ = ["faults", "fill", "first_script", "in_quotes", "with_extras"]

_FORMATTER: Final = Formatter()
_BRACES: Final = "Braces that belong to the command itself are written {{ and }}."
# One argument of a Linux process, and so the text behind bash -c, holds at most this many bytes.
_LONGEST_COMMAND: Final = 131_071
_RUNS_SCRIPT: Final = re.compile(r"\s*(?:python3?|bash|sh|Rscript) ([\w./-]+\.(?:py|sh|R))(?!\S)")
# `{alpha:>1000000000}` would ask for a gigabyte of spaces.
_WIDE: Final = re.compile(r"\d{5,}")
_NO_REFERENCES: Final[Mapping[str, str]] = MappingProxyType({})


def faults(
    command: str, declared: Collection[str], *, given: Collection[str], position: Position
) -> Iterator[ProjectInvalid]:
    """What is wrong with a command, whatever the values will be.

    Args:
        command: The author's command.
        declared: The names that placeholders may have.
        given: All names that the user gave, to explain a placeholder for an undeclared one.
        position: Where the command stands.
    """
    try:
        fields = list(_FORMATTER.parse(command))
    except ValueError as error:
        yield position.invalid(f"the command is not a format string: {error}. {_BRACES}")
        return
    for _, name, spec, conversion in fields:
        if name is None:
            continue
        if name not in declared:
            yield position.invalid(_unknown(name, declared, given))
        elif conversion and conversion not in "rsa":
            yield position.invalid(f"the command's placeholder {{{name}!{conversion}}} has an unknown conversion.")
        elif spec and ("{" in spec or "}" in spec):
            yield from faults(spec, declared, given=given, position=position)
        elif wrong := _misformatted(name, spec or ""):
            yield position.invalid(wrong)


def first_script(command: str) -> str | None:
    """The script that a command runs first of all, where that is plain to see."""
    found = _RUNS_SCRIPT.match(command)
    return found[1] if found else None


def in_quotes(command: str) -> Iterator[str]:
    """The names of placeholders, of a command without `faults`, that stand in quotes of the author's."""
    scanner = Scanner()
    for literal, name, _, _ in _FORMATTER.parse(command):
        scanner.read(literal)
        if name is not None and scanner.quoting in (Quoting.SINGLE, Quoting.DOUBLE):
            yield name


def fill(
    command: str, values: Mapping[str, str], *, position: Position, references: Mapping[str, str] = _NO_REFERENCES
) -> str:
    """Put values into a command's placeholders: Python's format strings, with declared parameters for names.

    Args:
        command: The author's command, without `faults`.
        values: The declared parameters' values, unquoted.
        position: Where the command stands.
        references: By the names of other declared parameters: environment variables that hold their values.

    Raises:
        ProjectInvalid: A width that is itself a parameter makes no sense.
        ParameterInvalid: The values make the command too long, or a reference cannot stand where it would have to.
    """
    return _Filling({name: shlex.quote(value) for name, value in values.items()}, references, position).fill(command)


def with_extras(command: str, extras: Mapping[str, str], *, references: Mapping[str, str] = _NO_REFERENCES) -> str:
    """Append undeclared parameters as ``--key value``, both quoted.

    A command in a YAML block ends in a newline, behind which the parameters would be a command of their own. So white
    space at the end is dropped, unless a backslash gives it a meaning.

    Args:
        command: The command so far.
        extras: The values by name, unquoted; those of references do not matter.
        references: By name: environment variables that hold the values.
    """
    if extras:
        stripped = command.rstrip()
        escapes = len(stripped) - len(stripped.rstrip("\\"))
        command = command if escapes % 2 else stripped
    words = {key: f'"${references[key]}"' if key in references else shlex.quote(extras[key]) for key in extras}
    result = " ".join([command, *(f"--{shlex.quote(key)} {word}" for key, word in words.items())])
    _measure(len(result.encode("utf-8", "surrogateescape")))
    return result


@dataclass(frozen=True, slots=True)
class _Filling:
    """What is put into one command."""

    quoted: Mapping[str, str]
    references: Mapping[str, str]
    position: Position

    def fill(self, text: str) -> str:
        parts: list[str] = []
        length = 0
        scanner = Scanner()
        for literal, name, spec, conversion in _FORMATTER.parse(text):
            scanner.read(literal)
            field = ""
            if name is not None and name in self.references:
                field = self._reference(name, scanner.quoting, formatted=bool(spec or conversion))
            elif name is not None:
                field = self._value(name, spec or "", conversion)
            parts += (literal, field)
            length += len(literal) + len(field)
            _measure(length)
        return "".join(parts)

    def _value(self, name: str, spec: str, conversion: str | None) -> str:
        value = self.quoted[name]
        if conversion:
            value = _FORMATTER.convert_field(value, conversion)
        for _, inner, _, _ in _FORMATTER.parse(spec):
            if inner is not None and inner in self.references:
                raise _unusable(inner, f"it stands inside of {{{name}:…}}, and a width cannot be secret")
        filled = self.fill(spec)
        if filled != spec and (wrong := _misformatted(name, filled)):
            raise self.position.invalid(wrong)
        return format(value, filled)

    def _reference(self, name: str, quoting: Quoting, *, formatted: bool) -> str:
        if formatted:
            raise _unusable(name, "a secret cannot be formatted")
        match quoting:
            case Quoting.NONE:
                return f'"${self.references[name]}"'
            case Quoting.DOUBLE:
                return f"${{{self.references[name]}}}"
            case Quoting.SINGLE:
                raise _unusable(name, "single quotes around it would keep the shell from putting the value in")
        raise _unusable(name, "it stands where it cannot be told what the shell would make of it")


def _unusable(name: str, why: str) -> ParameterInvalid:
    return ParameterInvalid(
        f"Parameter {name!r} comes from a Secret, so its value reaches the command in an environment variable, but the "
        f"entry point's command cannot use it as it is written: {why}. Write it as {{{name}}} without anything around "
        "it, as a word of its own."
    )


def _misformatted(name: str, spec: str) -> str | None:
    """Why no text can be formatted this way; None if it can."""
    shown = f"the command's placeholder {{{name}:{shortened(spec)}}}"
    if _WIDE.search(spec):
        return f"{shown} is too wide."
    try:
        format("", spec)
    except ValueError as error:
        return f"{shown} does not fit a text: {error}."
    return None


def _unknown(name: str, names: Collection[str], given: Collection[str]) -> str:
    shown = f"{{{shortened(name)}}}"
    base = re.split(r"[.\[]", name, maxsplit=1)[0]
    if base != name and base in names:
        return f"the command's placeholder {shown} asks for a part of parameter {base!r}; only {{{base}}} is possible."
    if not name.strip() or name.strip().isdecimal():
        return f"the command's placeholder {shown} names no parameter. {_BRACES}"
    if name in given:
        return (
            f"the command uses {shown}, but the entry point does not declare a parameter {name!r}. "
            "Declare it under parameters."
        )
    declared = f"declared are {', '.join(map(repr, names))}" if names else "none is declared"
    advice = did_you_mean(name, names)
    return f"the command uses {shown}, which is no parameter of the entry point; {declared}.{advice} {_BRACES}"


def _measure(length: int) -> None:
    if length > _LONGEST_COMMAND:
        raise ParameterInvalid(
            f"With these parameters the command is over {_LONGEST_COMMAND} bytes long, the most that one can pass to a "
            "shell. Put the long value into a file and give its path."
        )
