"""Frozen dataclasses as JSON, and back: for what is written by one of our programs and read by another.

The API's kinds are pydantic models, which explain to people what they have written wrongly. What only programs write
needs none of that, and a step in a pod would wait longer for pydantic than for all the rest of its imports.

Fields are texts, truth values, ``Literal``, other such dataclasses, tuples and dictionaries of these, or None.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["read", "write"]

Record = TypeVar("Record", bound="DataclassInstance")


def write(record: DataclassInstance) -> str:
    """A dataclass as compact JSON with camelCase keys, without what is None."""
    return json.dumps(_plain(record), ensure_ascii=False, separators=(",", ":"))


def read(kind: type[Record], text: str | bytes) -> Record:
    """Read what `write` has written. Keys that the dataclass does not know are passed over.

    Raises:
        ValueError: The text is not such a thing.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    found: Record = _value(kind, value, kind.__name__)
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 -- JSON
    if is_dataclass(value):
        found = ((_key(each.name), getattr(value, each.name)) for each in fields(value))
        return {key: _plain(one) for key, one in found if one is not None}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _value(kind: Any, value: Any, place: str) -> Any:  # noqa: ANN401 -- JSON, and a case for each kind of field
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        [kind] = (each for each in arguments if each is not NoneType)
        return _value(kind, value, place)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{place} is none of {', '.join(arguments)}")
        return value
    if origin is tuple:
        items = _checked(list, value, place)
        return tuple(_value(arguments[0], one, f"{place}.{number}") for number, one in enumerate(items))
    if origin is dict:
        entries = _checked(dict, value, place)
        return {key: _value(arguments[1], one, f"{place}.{key}") for key, one in entries.items()}
    if is_dataclass(kind):
        return _record(kind, _checked(dict, value, place), place)
    return _checked(kind, value, place)


def _record(kind: Any, entries: dict[str, Any], place: str) -> Any:  # noqa: ANN401 -- a dataclass, and one of it
    given = {}
    for name, (key, expected, required) in _fields(kind).items():
        if key in entries:
            given[name] = _value(expected, entries[key], f"{place}.{key}")
        elif required:
            raise ValueError(f"{place}.{key} is missing")
    return kind(**given)


@cache
def _fields(kind: Any) -> dict[str, tuple[str, Any, bool]]:  # noqa: ANN401 -- a dataclass
    """By its fields' names: the key, what it holds, and whether it has to be there."""
    hints = get_type_hints(kind)
    return {
        each.name: (_key(each.name), hints[each.name], each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    }


def _checked(kind: type, value: Any, place: str) -> Any:  # noqa: ANN401 -- JSON
    if not isinstance(value, kind):
        raise ValueError(f"{place} is no {kind.__name__}")  # noqa: TRY004 -- a text that is wrong, not a call
    return value


def _key(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
