"""A strategic merge of a PodTemplateSpec over another, by the rules of the API server's own. Pure.

What makes it strategic are the lists: some are sets of objects that are merged one by one, each found by one of its
fields, and which they are stands in the core API's types (patchStrategy and patchMergeKey). The directives are those of
``kubectl patch``: ``$patch``, ``$retainKeys``, ``$deleteFromPrimitiveList/…`` and ``$setElementOrder/…``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FIELD", "overlaid"]

FIELD: Final = "spec.backend.kubernetes.podTemplate"
"""What messages begin with."""

_DIRECTIVE: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_REMOVE: Final = "$deleteFromPrimitiveList/"
_ORDER: Final = "$setElementOrder/"
_DIRECTIVES: Final = (_DIRECTIVE, _RETAIN, _REMOVE, _ORDER)

_Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Merged:
    """A list whose elements are merged instead of being replaced as a whole.

    Attributes:
        key: The field that tells its elements apart; None for texts.
        fields: What there is to know of the elements' fields.
    """

    key: str | None
    fields: Mapping[str, _Merged | _Fields] = field(default_factory=dict)


_Fields = dict[str, "_Merged | _Fields"]

_CONTAINER: Final[_Fields] = {
    "env": _Merged("name"),
    "ports": _Merged("containerPort"),
    "volumeDevices": _Merged("devicePath"),
    "volumeMounts": _Merged("mountPath"),
}
_TEMPLATE: Final[_Fields] = {
    "metadata": {"finalizers": _Merged(None), "ownerReferences": _Merged("uid")},
    "spec": {
        "containers": _Merged("name", _CONTAINER),
        "ephemeralContainers": _Merged("name", _CONTAINER),
        "hostAliases": _Merged("ip"),
        "imagePullSecrets": _Merged("name"),
        "initContainers": _Merged("name", _CONTAINER),
        "resourceClaims": _Merged("name"),
        "schedulingGates": _Merged("name"),
        "topologySpreadConstraints": _Merged("topologyKey"),
        "volumes": _Merged("name"),
    },
}


def overlaid(template: _Object, overlay: Mapping[str, Any]) -> _Object:
    """Lay one PodTemplateSpec over another. Neither is changed.

    Raises:
        UsageError: The overlay is no patch of a PodTemplateSpec; the message names the place.
    """
    if unknown := [key for key in overlay if key not in template and not key.startswith("$")]:
        raise UsageError(f"{FIELD} has {', '.join(unknown)}; a PodTemplateSpec has metadata and spec.")
    return _map(template, dict(overlay), _TEMPLATE, FIELD)


def _map(original: _Object, patch: _Object, fields: Mapping[str, _Merged | _Fields], place: str) -> _Object:
    match patch.get(_DIRECTIVE):
        case None | "merge":
            pass
        case "replace":
            return _map({}, {key: value for key, value in patch.items() if key != _DIRECTIVE}, fields, place)
        case "delete":
            return {}
        case other:
            raise _unknown(place, other)
    result = _retained(original, patch, place)
    _remove(result, patch, place)
    for key, value in patch.items():
        if value is None or (key not in result and _marked(value, "delete")):
            result.pop(key, None)
        elif not key.startswith(_DIRECTIVES):
            result[key] = _value(result.get(key), value, fields.get(key), f"{place}.{key}")
    _order(original, result, patch, fields, place)
    return result


def _value(original: Any, patch: Any, known: _Merged | _Fields | None, place: str) -> Any:  # noqa: ANN401 -- any JSON
    # What takes another type's place would be found out by the API server alone, if at all.
    if isinstance(known, _Merged):
        _list(patch, place)
    elif known is not None and not isinstance(patch, dict):
        raise UsageError(f"{place} is {patch!r}, and it must be an object.")
    if isinstance(known, _Merged):
        return _merge(original or [], patch, known, place)
    if isinstance(patch, dict):
        return _map(original if isinstance(original, dict) else {}, patch, known or {}, place)
    return _clean(patch)


def _remove(result: _Object, patch: _Object, place: str) -> None:
    for directive in (key for key in patch if key.startswith(_REMOVE)):
        name, unwanted = directive.removeprefix(_REMOVE), _list(patch[directive], f"{place}.{directive}")
        if name in result:
            result[name] = [each for each in _list(result[name], f"{place}.{name}") if each not in unwanted]


def _retained(original: _Object, patch: _Object, place: str) -> _Object:
    """The original without what ``$retainKeys`` does not name."""
    if _RETAIN not in patch:
        return dict(original)
    retained = _list(patch[_RETAIN], f"{place}.{_RETAIN}")
    if extra := [key for key, value in patch.items() if not key.startswith("$") and value and key not in retained]:
        raise UsageError(f"{place}.{_RETAIN} does not name {', '.join(extra)}, which stands beside it. Add it there.")
    return {key: value for key, value in original.items() if key in retained}


def _merge(original: list[Any], patch: list[Any], merged: _Merged, place: str) -> list[Any]:
    if merged.key is None:
        for number, each in enumerate(patch):
            if not isinstance(each, str):
                raise UsageError(f"{place}[{number}] is {each!r}, and it must be a text.")
        return _arranged([*original, *(each for each in dict.fromkeys(patch) if each not in original)], patch, original)
    key = merged.key
    elements = [_keyed(each, key, f"{place}[{number}]") for number, each in enumerate(patch)]
    kept = list(original)
    for each in elements:
        match each.get(_DIRECTIVE):
            case None | "replace" | "merge":
                pass
            case "delete":
                kept = [other for other in kept if other.get(key) != each[key]]
            case other:
                raise _unknown(place, other)
    if any(each.get(_DIRECTIVE) == "replace" for each in elements):
        kept = []
    added = [each for each in elements if each.get(_DIRECTIVE, "merge") == "merge"]
    result = list(kept)
    for each in added:
        at = next((number for number, other in enumerate(result) if other.get(key) == each[key]), len(result))
        result[at : at + 1] = [
            _map(result[at] if at < len(result) else {}, each, merged.fields, f"{place}[{key}={each[key]}]")
        ]
    return _arranged(result, added, kept, of=itemgetter(key))


def _arranged(
    elements: list[Any], first: list[Any], second: list[Any], *, of: Callable[[Any], Any] = lambda element: element
) -> list[Any]:
    """Elements in the order of a patch, and those that it does not name between them as they stood before.

    An element that is new stands before all that the patch does not name, unless one that it names stands between.
    """
    wanted, stood = [of(each) for each in first], [of(each) for each in second]
    named = sorted((each for each in elements if of(each) in wanted), key=lambda each: wanted.index(of(each)))
    left = [each for each in elements if of(each) not in wanted]
    left.sort(key=lambda each: stood.index(of(each)) if of(each) in stood else len(stood))
    result: list[Any] = []
    while named and left:
        one, other = of(left[0]), of(named[0])
        earlier = one in stood and other in stood and stood.index(one) < stood.index(other)
        result.append((left if earlier else named).pop(0))
    return [*result, *named, *left]


def _order(
    original: _Object, result: _Object, patch: _Object, fields: Mapping[str, _Merged | _Fields], place: str
) -> None:
    for directive in (key for key in patch if key.startswith(_ORDER)):
        name, at = directive.removeprefix(_ORDER), f"{place}.{directive}"
        if name not in result:
            continue
        merged = fields.get(name)
        key = merged.key if isinstance(merged, _Merged) else None
        order = _list(patch[directive], at)
        elements, before = _list(result[name], at), original.get(name) or []
        if key is None:
            result[name] = _arranged(elements, order, before)
            continue
        order = [_keyed(each, key, f"{at}[{number}]") for number, each in enumerate(order)]
        result[name] = _arranged(elements, order, before, of=itemgetter(key))


def _clean(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    """A part of a patch that meets nothing to be merged with: without directives and nulls."""
    if isinstance(value, dict):
        return {
            key: _clean(each)
            for key, each in value.items()
            if each is not None and not key.startswith("$") and not _marked(each, "delete")
        }
    if isinstance(value, list):
        return [_clean(each) for each in value if not _marked(each, "delete")]
    return value


def _marked(value: Any, directive: str) -> bool:  # noqa: ANN401 -- any JSON
    return isinstance(value, dict) and value.get(_DIRECTIVE) == directive


def _list(value: Any, place: str) -> list[Any]:  # noqa: ANN401 -- any JSON
    if not isinstance(value, list):
        raise UsageError(f"{place} is {value!r}, and it must be a list.")
    return value


def _keyed(element: Any, key: str, place: str) -> _Object:  # noqa: ANN401 -- any JSON
    if not isinstance(element, dict):
        raise UsageError(f"{place} is {element!r}, and it must be an object with the field {key}.")
    if key not in element and element.get(_DIRECTIVE) != "replace":
        raise UsageError(f"{place} has no {key}, by which it would be found. Give it.")
    return element


def _unknown(place: str, directive: object) -> UsageError:
    return UsageError(f"{place}.{_DIRECTIVE} is {directive!r}; there are replace, merge and delete.")
