"""What to tell a user whose object does not fit its model: which field, what is wrong, what was probably meant.

Pydantic's own messages name Python types and list every alternative; a user of a manifest knows fields and YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["Mistake", "explain", "mistakes"]

_WRONG = {
    "missing": "required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with an object.

    Attributes:
        location: The field: keys and indexes from the top of the object.
        message: What is wrong, and the way out where one is known.
    """

    location: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{_path(self.location)}: {self.message}"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One line for each mistake: the path of the field, what is wrong, and the way out where one is known."""
    return "\n".join(map(str, mistakes(error, model)))


def mistakes(error: ValidationError, model: type[BaseModel]) -> tuple[Mistake, ...]:
    """Each mistake once: a union of types reports each of its members, which often say the same."""
    return tuple(dict.fromkeys(_mistake(details, model) for details in error.errors(include_url=False)))


def _mistake(details: ErrorDetails, model: type[BaseModel]) -> Mistake:
    location = [part for part in details["loc"] if not _names_a_type(part)]
    context = details.get("ctx", {})
    if details["type"] == "rule" and context.get("field"):
        location += context["field"].split(".")
    return Mistake(tuple(location), _what_is_wrong(details, location, model))


def _what_is_wrong(details: ErrorDetails, location: Sequence[str | int], model: type[BaseModel]) -> str:
    value, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return f"unknown field{_suggestion(location, model)}"
        case "string_type" if isinstance(value, bool | int | float):
            return f"must be a string; write {_in_quotes(value)}"
        case "literal_error":
            return f"must be {context['expected']}{_nearest(value, context['expected'])}"
        case "string_pattern_mismatch":
            return f"{value!r} does not match {context['pattern']}"
        case "string_too_long":
            return f"may have {context['max_length']} characters at most, and has {len(value)}"
        case other:
            return _WRONG.get(other, details["msg"][:1].lower() + details["msg"][1:])


def _in_quotes(value: bool | float) -> str:  # noqa: FBT001 -- a value of a manifest, not a switch
    return f'"{str(value).lower() if isinstance(value, bool) else value}"'


def _names_a_type(part: str | int) -> bool:
    """Whether a part of a location is pydantic's name for a member of a union, not a field."""
    return isinstance(part, str) and ("[" in part or part in {"int", "str"})


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".") or "the object"


def _nearest(value: object, expected: str) -> str:
    choices = [choice for choice in expected.replace(" or ", ", ").replace("'", "").split(", ") if choice]
    if len(choices) == 1:  # "must be 'A'" has said it
        return ""
    matches = get_close_matches(str(value).lower(), [choice.lower() for choice in choices], n=1)
    return f"; did you mean {next(c for c in choices if c.lower() == matches[0])}?" if matches else ""


def _suggestion(location: Sequence[str | int], model: type[BaseModel]) -> str:
    """What an unknown field was probably meant to be: a near name beside it, or the same name elsewhere."""
    *parents, name = location
    owner: type[BaseModel] | None = model
    for parent in parents:
        if owner is not None and not isinstance(parent, int):
            owner = next((m for alias, m in _fields(owner) if alias == parent), None)
    if owner is not None:
        aliases = {alias.lower(): alias for alias, _ in _fields(owner)}
        matches = get_close_matches(str(name).lower().replace("_", ""), list(aliases), n=1)
        if matches:
            return f"; did you mean {aliases[matches[0]]}?"
    elsewhere = next((path for path in _paths(model) if path.rsplit(".", 1)[-1] == name), None)
    return f"; did you mean {elsewhere}?" if elsewhere else ""


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel] | None]]:
    """A model's JSON names, each with the model that its value, or an item of it, has."""
    for name, field in model.model_fields.items():
        yield field.alias or name, _model_in(field.annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 -- annotations have no type of their own
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(_model_in, get_args(annotation)) if found is not None), None)


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for alias, inner in _fields(model):
        yield prefix + alias
        if inner is not None:
            yield from _paths(inner, f"{prefix}{alias}.")
