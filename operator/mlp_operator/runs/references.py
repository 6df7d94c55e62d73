"""Parameters whose values lie in Secrets and ConfigMaps: an edge that reads them, by name, when a run is resolved.

A ConfigMap's value is an ordinary one from then on. A Secret's is read to see that it is there and fits; whoever gets
it from here checks it and lets go of it: it stands in no outcome, no cache and no message.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import ParameterInvalid, ParameterPending
from mlp_operator.machinery.cluster import CONFIGMAPS, SECRETS, ApiError, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cluster import Cluster

__all__ = ["Given", "read_parameters"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """What a run gives to its entry point.

    Attributes:
        values: Ordinary values by parameter, those of ConfigMaps among them.
        secrets: Values from Secrets. Never shown, not even by repr.
    """

    values: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


async def read_parameters(cluster: Cluster, run: ProjectRun) -> Given:
    """Read the values of a run's parameters, each Secret and each ConfigMap once.

    Raises:
        ParameterPending: An object or a key is not there yet, or the operator may not read it.
        ParameterInvalid: A value is no text, or cannot be handed to a program.
        ApiError: The API server would not answer for another reason.
        ClusterUnreachable: It did not answer.
    """
    values: dict[str, str] = {}
    secrets: dict[str, str] = {}
    seen: dict[tuple[Resource, str], Object] = {}
    for parameter in run.spec.parameters or ():
        source = parameter.value_from
        if source is None:
            values[parameter.name] = parameter.value or ""
            continue
        secret, chosen = source.secret_key_ref, source.secret_key_ref or source.config_map_key_ref
        assert chosen is not None  # noqa: S101 -- exactly one is set
        resource = CONFIGMAPS if secret is None else SECRETS
        place = _Place(parameter.name, _KINDS[resource], run.metadata.namespace, chosen.name, chosen.key)
        if (resource, chosen.name) not in seen:
            seen[resource, chosen.name] = await _read(cluster, resource, place)
        value = _value(seen[resource, chosen.name], place)
        (values if secret is None else secrets)[parameter.name] = value
    return Given(values, secrets)


_KINDS: Final = {CONFIGMAPS: "ConfigMap", SECRETS: "Secret"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value lies."""

    parameter: str
    kind: str
    namespace: str
    name: str
    key: str

    @property
    def shown(self) -> str:
        return f"{self.kind} {self.name} in namespace {self.namespace}"


async def _read(cluster: Cluster, resource: Resource, place: _Place) -> Object:
    try:
        return await cluster.get(resource, place.namespace, place.name)
    except ApiError as error:
        if error.not_found:
            # GitOps tools apply in any order, so this is worth waiting for.
            raise ParameterPending(
                f"Parameter {place.parameter!r} waits for its value: there is no {place.shown}. Create it with the key "
                f"{place.key}; the run goes on by itself."
            ) from None
        if error.forbidden:
            raise ParameterPending(
                f"Parameter {place.parameter!r} waits for its value: the operator may not read the {place.shown}. Its "
                f"role needs the verb get for {resource.plural}; the run goes on by itself."
            ) from None
        raise


def _value(obj: Object, place: _Place) -> str:
    plain = {} if place.kind == "Secret" else obj.get("data") or {}
    encoded = obj.get("data" if place.kind == "Secret" else "binaryData") or {}
    if place.key in plain:
        value = str(plain[place.key])
    elif place.key in encoded:
        value = _text(encoded[place.key], place)
    else:
        raise ParameterPending(
            f"Parameter {place.parameter!r} waits for its value: the {place.shown} has no key {place.key}. Add it; the "
            "run goes on by itself."
        )
    if "\0" in value:
        raise ParameterInvalid(
            f"The value of parameter {place.parameter!r}, key {place.key} of {place.shown}, contains a NUL character, "
            "which no program can be given."
        )
    return value


def _text(encoded: str, place: _Place) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        # The error holds the bytes. It must not live on as this one's context.
        pass
    raise ParameterInvalid(
        f"The value of parameter {place.parameter!r}, key {place.key} of {place.shown}, is no text in UTF-8. Mount it "
        "as a file with spec.backend.kubernetes.volumes."
    )
