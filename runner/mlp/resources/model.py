"""How a model of a Kubernetes resource is written: its bases, its rules, its bounded types.

The models are the one source of the API. What they say is enforced twice, by pydantic wherever mlp reads a manifest
and by the API server through the CRD that mlp.resources.crd generates, so everything here has both faces: a rule is
CEL and Python side by side, a list keyed by a field is an OpenAPI extension and a validator. This module knows
nothing of projects or runs.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Flag",
    "Int32",
    "Int64",
    "KeyedBy",
    "Raw",
    "Rule",
    "Seconds",
    "SpecModel",
    "StatusModel",
    "Time",
    "bounded",
    "exactly_one",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """A statement that must hold for an object, told to the API server and to pydantic at once.

    Attributes:
        cel: The statement in CEL, about ``self`` (and ``oldSelf``: then it concerns updates alone).
        message: What the user reads: what is wrong and the way out.
        holds: The same statement in Python; None for statements about updates, which only the server sees.
        field: JSON name of the property that the error points to, if not the object itself; dots lead further inside.
        forbids: The error is of the kind "Forbidden" instead of "Invalid value", which would repeat the value.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None
    field: str | None = None
    forbids: bool = False

    def to_dict(self) -> dict[str, str]:
        """The rule as an element of ``x-kubernetes-validations``."""
        extension = {"rule": self.cel, "message": self.message}
        if self.field is not None:
            extension["fieldPath"] = f".{self.field}"
        if self.forbids:
            extension["reason"] = "FieldValueForbidden"
        return extension


def exactly_one(one: str, other: str) -> Rule:
    """The rule that an object has one of two fields, given by their Python names."""
    return Rule(
        f"has(self.{to_camel(one)}) != has(self.{to_camel(other)})",
        f"give exactly one of {to_camel(one)} and {to_camel(other)}",
        lambda model: (getattr(model, one) is None) != (getattr(model, other) is None),
    )


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True, frozen=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        for rule in self.rules:
            if rule.holds is not None and not rule.holds(self):
                # The field travels in the context: a model's error would otherwise point to the model alone.
                raise PydanticCustomError("rule", "{message}", {"message": rule.message, "field": rule.field})
        return self

    @classmethod
    def all_rules(cls) -> Iterable[Rule]:
        """Every rule that the CRD holds for this model."""
        return cls.rules

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add to the JSON schema what only the CRD needs: the rules in CEL, and what the source says of each field."""
        json_schema = handler.resolve_ref_schema(handler(schema))
        if rules := [rule.to_dict() for rule in cls.all_rules()]:
            json_schema["x-kubernetes-validations"] = rules
        descriptions = {name: text for base in reversed(cls.__mro__) for name, text in _field_texts(base).items()}
        for name, field in cls.model_fields.items():
            if name in descriptions:
                json_schema["properties"][field.alias or name]["description"] = descriptions[name]
        return json_schema

    def to_dict(self) -> dict[str, Any]:
        """The object as JSON has it: camelCase keys, times as text, nothing that is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _field_texts(model: type) -> dict[str, str]:
    """The string below each field of a class. Pydantic's own way would read the source at every import."""
    if not issubclass(model, _Model) or model is _Model:
        return {}
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 -- the source of a class is a class statement
    texts = {}
    for statement, below in itertools.pairwise(definition.body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts


class SpecModel(_Model):
    """What a user writes. An unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid")


class StatusModel(_Model):
    """What the operator writes. An unknown key was written by a newer operator and is left alone."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, slots=True)
class KeyedBy:
    """Mark a list whose items are told apart by one field, as Kubernetes merges them (list type map)."""

    field: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Add the check that no two items have the same key."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the OpenAPI extension."""
        json_schema = handler(schema)
        json_schema["x-kubernetes-list-type"] = "map"
        json_schema["x-kubernetes-list-map-keys"] = [to_camel(self.field)]
        return json_schema

    def _check(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        seen = set()
        for item in items:
            key = getattr(item, self.field)
            if key in seen:
                raise PydanticCustomError(
                    "duplicate",
                    "{key} stands there twice; each {field} may be given once",
                    {"key": repr(key), "field": to_camel(self.field)},
                )
            seen.add(key)
        return items


def bounded(longest: int, *, shortest: int | None = None, pattern: str | None = None) -> Any:  # noqa: ANN401 -- as Field
    """Say how long a string may be. The API server estimates the cost of CEL from it, so every string needs it."""
    return Field(max_length=longest, min_length=shortest, pattern=pattern)


Raw = dict[str, Any]
"""A fragment of a Kubernetes object that goes to the API server as it stands; the server validates it there."""

Flag = Annotated[bool, Strict()]
"""True or false, and no word that YAML 1.1 takes for one."""
Int32 = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1, json_schema_extra={"format": "int32"})]
Int64 = Annotated[int, Strict(), Field(ge=0, le=2**53, json_schema_extra={"format": "int64"})]
Seconds = Annotated[int, Strict(), Field(ge=0, le=2**31 - 1, json_schema_extra={"format": "int64"})]


def _whole_seconds(moment: datetime) -> datetime:
    """The API server's clock has whole seconds: a moment must be equal to itself after a round trip."""
    if moment.tzinfo is None:
        raise PydanticCustomError("time", "a time needs a zone, such as Z")
    return moment.astimezone(UTC).replace(microsecond=0)


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime,
    AfterValidator(_whole_seconds),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    Field(json_schema_extra={"type": "string", "format": "date-time"}),
]
"""A moment, in whole seconds of UTC, as metav1.Time."""
