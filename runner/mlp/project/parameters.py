"""Parameters: their declaration in a project's file, their types, and the text that a value becomes.

Values are text from the command line or a resource to the command. A type only ever decides whether a text is
accepted; a valid text is never changed, except that the caller's `Places` say what a path or a relative URI means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote, urlsplit

from mlp.errors import ParameterInvalid, ParameterMissing
from mlp.project.suggestion import did_you_mean, nearest, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from mlp.errors import ProjectInvalid
    from mlp.project.files import Places
    from mlp.project.problems import Findings
    from mlp.project.values import Position, Value

__all__ = [
    "TYPES",
    "Parameter",
    "ResolvedParameter",
    "expected_uri",
    "missing",
    "misspelt",
    "no_such_path",
    "read_parameter",
    "without_file_scheme",
]

TYPES: Final = ("string", "float", "int", "bool", "path", "uri")

_KEYS: Final = ("type", "default")
_WHOLE_NUMBER: Final = re.compile(r"\s*[+-]?\d+(_\d+)*\s*")
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_BOOLEANS: Final = frozenset({"true", "false", "yes", "no", "1", "0"})
# Names of the same things in Python, JSON schema and argparse, which are what people write by mistake.
_OTHER_NAMES: Final = {
    "str": "string", "text": "string", "integer": "int", "long": "int", "number": "float", "double": "float",
    "real": "float", "boolean": "bool", "flag": "bool", "file": "path", "dir": "path", "directory": "path",
    "url": "uri",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResolvedParameter:
    """One parameter of a run.

    Attributes:
        name: Its name.
        type: Its declared type; ``string`` for one that is not declared.
        raw: The text that was given, or the default's.
        value: The text that stands in the command, before it is quoted.
        source: Whether it was given for a declared parameter, is a default, or was given without being declared.
        reference: The environment variable that holds the value of a secret, which stands nowhere else: ``raw`` and
            ``value`` are empty then.
    """

    name: str
    type: str
    raw: str
    value: str
    source: Literal["Spec", "Default", "Extra"]
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter.

    Attributes:
        name: Its name.
        type: Its type as written; one that is not of `TYPES` is a fault.
        default: The default's text; None means that a value has to be given.
        position: Where the name stands.
        type_position: Where the type stands.
        default_position: Where the default stands.
    """

    name: str
    type: str
    default: str | None
    position: Position
    type_position: Position
    default_position: Position

    def faults(self, *, default: bool) -> Iterator[ProjectInvalid]:
        """What is wrong with the declaration, whatever value is given.

        Args:
            default: Whether the default matters.
        """
        if self.type not in TYPES:
            guess = _OTHER_NAMES.get(self.type.lower()) or nearest(self.type, TYPES)
            meant = f" Did you mean {guess!r}?" if guess else ""
            yield self.type_position.invalid(
                f"parameter {self.name!r} has the unknown type {shortened(self.type)!r}.{meant} "
                f"The types are {', '.join(TYPES)}."
            )
        elif default and self.default is not None and (wrong := _misfit(self.type, self.default)) is not None:
            yield self.default_position.invalid(
                f"the default of parameter {self.name!r} is {shortened(self.default)!r}, {wrong}."
            )

    def resolve(self, given: str | None, *, places: Places, validate: bool) -> ResolvedParameter:
        """Check the value that was given, or the default, and say what stands for it in the command.

        Args:
            given: The user's value; None takes the default.
            places: What paths and URIs mean where the command will run.
            validate: Whether the user's value must fit the type. Types and defaults that are wrong themselves are
                `faults`; here an unknown type is a string, as in MLflow.

        Raises:
            ParameterMissing: There is neither a value nor a default.
            ParameterInvalid: The value does not fit.
        """
        raw = self.default if given is None else given
        if raw is None:
            raise missing([self.name], extra=())
        if "\0" in raw:
            raise ParameterInvalid(f"Parameter {self.name!r} contains a NUL character, which no command line can hold.")
        if validate and given is not None and (wrong := _misfit(self.type, raw)) is not None:
            raise ParameterInvalid(
                f"Parameter {self.name!r} got {shortened(raw)!r}, {wrong}. "
                f"Its type is {self.type} ({self.type_position})."
            )
        value = self._place(raw, places, default=given is None)
        return ResolvedParameter(self.name, self.type, raw, value, "Default" if given is None else "Spec")

    def refer(self, given: str, reference: str, *, validate: bool) -> ResolvedParameter:
        """Check a secret value, of which nothing is shown, and let a reference stand for it.

        Args:
            given: The value.
            reference: The environment variable that holds it where the command runs.
            validate: Whether it must fit the type.

        Raises:
            ParameterInvalid: The value does not fit, or no secret can be of this type.
        """
        if self.type == "path":
            raise ParameterInvalid(
                f"Parameter {self.name!r} is of type path, whose values cannot come from a Secret: they are looked up "
                "and downloaded, and shown. Give the path as a value; credentials for a download belong into "
                "spec.data.secretRef."
            )
        wrong = "which contains a NUL character" if "\0" in given else _misfit(self.type, given) if validate else None
        if self.type == "uri" and not _SCHEME.match(given) and not given.startswith("/"):
            wrong = "which is not a URI with a scheme, such as https://host/path"
        if wrong is not None:
            raise ParameterInvalid(
                f"Parameter {self.name!r} got a value from a Secret, {wrong}. "
                f"Its type is {self.type} ({self.type_position})."
            )
        return ResolvedParameter(self.name, self.type, "", "", "Spec", reference)

    def _place(self, raw: str, places: Places, *, default: bool) -> str:
        if self.type == "path":
            if not raw:
                raise no_such_path(self.name, raw)
            return places.path(self.name, raw, default=default)
        if self.type == "uri" and not _SCHEME.match(raw):
            if not raw:
                raise expected_uri(self.name, raw)
            return places.uri(self.name, raw, default=default)
        return raw


def missing(names: Iterable[str], *, extra: Collection[str]) -> ParameterMissing:
    """The error for parameters that have no default and were not given.

    Args:
        names: Theirs, in the order of their declaration.
        extra: Names that were given and are not declared: one of them may be a misspelling.
    """
    names = tuple(names)
    listed = ", ".join(f"'{name}'" for name in names)
    guesses = [(given, guess) for given in extra if (guess := nearest(given, names)) is not None]
    advice = "".join(f" {given!r} was given: did you mean {guess!r}?" for given, guess in guesses)
    return ParameterMissing(f"No value given for missing parameters: {listed}{'.' if advice else ''}{advice}")


def without_file_scheme(parameter: str, value: str) -> str:
    """The path of this machine that a value of a path parameter names, relative if it is; anything else as it stands.

    Raises:
        ParameterInvalid: It is a file URI that names another machine.
    """
    if not value.lower().startswith("file:/"):
        return value
    parts = urlsplit(value)
    if parts.netloc not in {"", "localhost"}:
        raise ParameterInvalid(
            f"Parameter {parameter} is of type path and got {value}, which lies elsewhere: a file URI names this "
            f"machine. Write file://{parts.path or '/PATH'}."
        )
    return unquote(parts.path)


def no_such_path(parameter: str, value: str) -> ParameterInvalid:
    """The error for a value of type path that names nothing."""
    return ParameterInvalid(
        f"Got value {shortened(value)} for parameter {parameter}, but no such file or directory was found."
    )


def expected_uri(parameter: str, value: str) -> ParameterInvalid:
    """The error for a value of type uri that is neither a URI nor a path."""
    return ParameterInvalid(f"Expected URI for parameter {parameter} but got {shortened(value)}")


def read_parameter(name: str, position: Position, value: Value, findings: Findings) -> Parameter:
    """Read a declaration: ``name: type`` or ``name: {type: …, default: …}``.

    Args:
        name: The parameter's name.
        position: Where the name stands.
        value: What stands behind it.
        findings: Where warnings are noted.

    Raises:
        ProjectInvalid: It is neither form.
    """
    if isinstance(value.data, str):
        return Parameter(name, value.data, None, position, value.position, position)
    if not isinstance(value.data, dict):
        advice = "a type or {type: …, default: …}"
        if value.data is not None and value.text is not None:
            advice += f"; if {value.text} is the default, write {{default: {value.text}}}"
        raise value.invalid(f"the declaration of parameter {name!r} is {value.kind}, but it must be {advice}.")
    spec = value.mapping(f"the declaration of parameter {name!r}", wanted="a mapping", findings=findings)
    spec.only(_KEYS, findings)
    declared = spec.entries.get("type")
    if declared is not None and not isinstance(declared.data, str):
        raise declared.invalid(f"the type of parameter {name!r} is {declared.kind}, but it must be a type's name.")
    default = spec.entries.get("default")
    # Python's text of the YAML value, as MLflow puts it into the command: True, 0.1, [1, 2].
    text = None if default is None or default.empty else str(default.data)
    return Parameter(
        name=name,
        type="string" if declared is None else str(declared.data),
        default=text,
        position=position,
        type_position=position if declared is None else declared.position,
        default_position=position if default is None else default.position,
    )


def _misfit(type_: str, raw: str) -> str | None:
    """Why a text is not of a type; None if it is."""
    if type_ == "float":
        try:
            float(raw)
        except ValueError:
            return "which is not a number such as 0.5 or 1e-3"
    if type_ == "int" and not _WHOLE_NUMBER.fullmatch(raw):
        return "which is not a whole number such as 42"
    if type_ == "bool" and raw.lower() not in _BOOLEANS:
        return "which is none of true, false, yes, no, 1 and 0"
    return None


def misspelt(given: Iterable[str], declared: Collection[str]) -> tuple[str, ...]:
    """Warn about undeclared parameters that look like declared ones."""
    return tuple(
        f"Parameter {name!r} is not declared and is appended as --{name}.{did_you_mean(name, declared)}"
        for name in given
        if nearest(name, declared) is not None
    )
