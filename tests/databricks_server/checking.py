"""Whether a request is one that Databricks knows, and an answer one that a client can read.

The yardstick is databricks-sdk: the types of its dataclasses for what comes in, its own parsers for what goes out. The
SDK alone would not do for requests: its parsers pass over fields that they do not know, and take values of any type.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.databricks_server.refusals import invalid

__all__ = ["Fields", "check_answer", "check_body", "check_call", "fields_of"]


@dataclasses.dataclass(frozen=True)
class Fields:
    """The fields that an object may have and those that it must have."""

    types: Mapping[str, Any]
    required: frozenset[str]


@functools.cache
def fields_of(cls: type) -> Fields:
    """A dataclass's fields.

    Its annotations are texts and mean what the module's names mean: typing.get_type_hints would find the class's own
    attribute ``compute`` where the module ``compute`` is meant.
    """
    names = vars(sys.modules[cls.__module__])
    found = {each.name: _meaning(each.type, names) for each in dataclasses.fields(cls)}
    given = (dataclasses.MISSING, dataclasses.MISSING)
    required = (each.name for each in dataclasses.fields(cls) if (each.default, each.default_factory) == given)
    return Fields(found, frozenset(required))


@functools.cache
def _fields_of_call(method: Callable[..., Any]) -> Fields:
    names = vars(sys.modules[method.__module__])
    parameters = list(inspect.signature(method).parameters.values())[1:]
    found = {each.name: _meaning(each.annotation, names) for each in parameters}
    return Fields(found, frozenset(each.name for each in parameters if each.default is each.empty))


def _meaning(annotation: Any, names: dict[str, Any]) -> Any:
    return eval(annotation, names) if isinstance(annotation, str) else annotation


def check_call(method: Callable[..., Any], body: Any) -> None:
    """Refuse a body that a method of the SDK's API classes could not have sent."""
    _check_fields(_fields_of_call(method), body, "", method.__name__)


def check_body(cls: type, body: Any, where: str = "") -> None:
    """Refuse a value that does not fit a type of the SDK."""
    _check(cls, body, where)


def _check(kind: Any, value: Any, where: str) -> None:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is any:
        return
    if origin in {typing.Union, types.UnionType}:
        _check(next(each for each in arguments if each is not type(None)), value, where)
    elif origin is list:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _wrong(where, "a list", value)
        for number, each in enumerate(value):
            _check(arguments[0], each, f"{where}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        for name, each in value.items():
            _check(arguments[1], each, f"{where}.{name}")
    elif dataclasses.is_dataclass(kind):
        _check_fields(fields_of(kind), value, where, kind.__name__)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        if value not in {each.value for each in kind}:
            raise _wrong(where, f"one of {', '.join(each.value for each in kind)}", value)
    else:
        _check_plain(kind, value, where)


def _check_plain(kind: type, value: Any, where: str) -> None:
    wanted = {float: (int, float)}.get(kind, kind)
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(where, {str: "a string", int: "an integer", bool: "true or false"}.get(kind, kind.__name__), value)


def _check_fields(fields: Fields, value: Any, where: str, name: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(where or "the body", f"an object ({name})", value)
    within = f"{where}." if where else ""
    for key, each in value.items():
        if key not in fields.types:
            raise invalid(f"Unknown field '{within}{key}' of {name}.")
        _check(fields.types[key], each, f"{within}{key}")
    for key in sorted(fields.required - value.keys()):
        raise invalid(f"Missing required field: '{within}{key}' of {name}.")


def _wrong(where: str, wanted: str, value: Any) -> Exception:
    shown = f"{value!r:.60}" if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return invalid(f"Invalid value of '{where}': {shown} is not {wanted}.")


def check_answer(cls: Any, answer: Mapping[str, Any]) -> str | None:
    """What a client of the SDK would not get of an answer; None if it gets all of it."""
    again = cls.from_dict(answer).as_dict()
    return None if _told(again) == _told(answer) else f"{cls.__name__} reads {again} from {answer}"


def _told(value: Any) -> Any:
    """A value without its empty objects and lists, which the SDK leaves out, and which tell nothing."""
    if isinstance(value, dict):
        return {name: told for name, each in value.items() if (told := _told(each)) not in ({}, [])}
    return [_told(each) for each in value] if isinstance(value, list) else value
