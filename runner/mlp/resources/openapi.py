"""From pydantic's JSON schema to the structural OpenAPI v3 schema that a CustomResourceDefinition wants.

A structural schema has no references, no ``null`` beside a type, and one type for each value. This module knows the two
dialects and nothing of the models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

__all__ = ["structural_schema"]

Schema = dict[str, Any]

# What comes first in the generated file. Everything else follows by name.
_ORDER = ("description", "type", "format", "default", "enum", "required", "properties")


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, with every reference resolved."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}))


def _convert(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    schema = _flatten(schema, definitions)
    result = {key: value for key, value in schema.items() if key not in {"title", "$defs", "additionalProperties"}}
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if (default := result.pop("default", None)) is not None:
        result["default"] = _without_nulls(default)
    if "properties" in result:
        properties = sorted(result["properties"].items())
        result["properties"] = {name: _convert(inner, definitions) for name, inner in properties}
    result |= _convert_items(schema, definitions)
    if result.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    return {key: result[key] for key in (*_ORDER, *sorted(set(result) - set(_ORDER))) if key in result}


def _convert_items(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """What a list or a map says of its items."""
    if "items" in schema:
        kind = schema.get("x-kubernetes-list-type", "atomic")
        return {"items": _convert(schema["items"], definitions), "x-kubernetes-list-type": kind}
    match schema.get("additionalProperties"):
        case True:
            return {"x-kubernetes-preserve-unknown-fields": True}
        case dict(items):
            return {"additionalProperties": _convert(items, definitions)}
    return {}  # what no schema names is refused or pruned by the API server anyway


def _flatten(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Resolve references and optional types until the schema says directly what its value is."""
    schema = dict(schema)
    while True:
        if "$ref" in schema:
            inner = definitions[schema.pop("$ref").removeprefix("#/$defs/")]
        elif "anyOf" in schema:
            members = [member for member in schema.pop("anyOf") if member != {"type": "null"}]
            # Of the unions, int-or-string alone has a place in a structural schema, as an extension beside this one.
            inner = members[0] if len(members) == 1 else {}
        else:
            return schema
        # What stands beside a reference is about this use of it and goes before what the definition says.
        schema = {**inner, **schema}


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
