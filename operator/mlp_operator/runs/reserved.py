"""What of a run's pod is mlp's own, and that an overlay has left it there. Pure.

A run could not be brought to its end, or not be told about, without these; so an overlay that takes one away is
refused by its name before there is a pod, instead of making one that fails for reasons that nobody sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlp.errors import UsageError
from mlp.resources import names
from mlp_operator.runs.overlay import FIELD
from mlp_operator.runs.volumes import CHANGEABLE, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LABELS", "refuse_losses"]

LABELS: Final = (names.RUN_LABEL, "app.kubernetes.io/managed-by", "app.kubernetes.io/name")
_ANNOTATIONS: Final = (names.PLAN_ANNOTATION, names.TRACKING_ANNOTATION)
_OWN_PATH: Final = "/mlp"
_OF_OUR_CONTAINERS: Final = ("command", "args", "workingDir")

_Object = dict[str, Any]


def refuse_losses(ours: _Object, merged: _Object) -> None:
    """Compare a pod template with what an overlay has made of it.

    Raises:
        UsageError: Something of ours is gone, or changed; the message names all of it.
    """
    lost = [
        *_of_metadata(ours["metadata"], merged.get("metadata") or {}),
        *_of_spec(ours["spec"], merged.get("spec") or {}),
    ]
    if lost:
        raise UsageError(
            f"{FIELD} removes or changes what belongs to mlp: {', '.join(dict.fromkeys(lost))}. Leave "
            f"{'it' if len(lost) == 1 else 'them'} out of it in a new ProjectRun."
        )


def _of_metadata(ours: _Object, merged: _Object) -> Iterator[str]:
    for field, keys in (("labels", LABELS), ("annotations", _ANNOTATIONS)):
        left = merged.get(field) or {}
        for key in keys:
            if key in ours[field] and left.get(key) != ours[field][key]:
                yield f"metadata.{field}[{key}]"
    # Nor added: a pod that cannot go keeps its run from its end, and what our annotations say is believed.
    if (merged.get("finalizers") or []) != ours.get("finalizers", []):
        yield "metadata.finalizers"
    forged = set(merged.get("annotations") or {}) - set(ours["annotations"])
    yield from (f"metadata.annotations[{key}]" for key in sorted(forged) if key.startswith(f"{names.GROUP}/"))


def _of_spec(ours: _Object, merged: _Object) -> Iterator[str]:
    if merged.get("restartPolicy") != ours["restartPolicy"]:
        yield "spec.restartPolicy"
    volumes = {volume["name"]: volume for volume in merged.get("volumes") or ()}
    for volume in ours["volumes"]:
        name = volume["name"]
        if name.startswith(PREFIX) and not _kept(volume, volumes.get(name), changeable=name.startswith(CHANGEABLE)):
            yield f"spec.volumes[{name}]"
    for field in ("initContainers", "containers"):
        yield from _of_containers(field, ours[field], merged.get(field) or [])


def _kept(ours: _Object, merged: _Object | None, *, changeable: bool) -> bool:
    return merged is not None and (changeable or merged == ours)


def _of_containers(field: str, ours: list[_Object], merged: list[_Object]) -> Iterator[str]:
    found = {container["name"]: container for container in merged}
    wanted = [container["name"] for container in ours]
    if [name for name in found if name in wanted] != [name for name in wanted if name in found]:
        yield f"the order of spec.{field}"
    for container in ours:
        place = f"spec.{field}[{container['name']}]"
        if container["name"] not in found:
            yield place
            continue
        yield from (f"{place}.{lost}" for lost in _of_container(container, found[container["name"]]))


def _of_container(ours: _Object, merged: _Object) -> Iterator[str]:
    yield from (key for key in _OF_OUR_CONTAINERS if merged.get(key) != ours.get(key))
    mounts = {mount["mountPath"]: mount for mount in merged.get("volumeMounts") or ()}
    own = {mount["mountPath"]: mount for mount in ours["volumeMounts"] if mount["name"].startswith(PREFIX)}
    yield from (f"volumeMounts[{path}]" for path in own if mounts.get(path) != own[path])
    yield from (
        f"volumeMounts[{path}]"
        for path in mounts
        if path not in own and (path == _OWN_PATH or path.startswith(f"{_OWN_PATH}/"))
    )
    variables = {variable["name"]: variable for variable in merged.get("env") or ()}
    for variable in ours["env"]:
        name = variable["name"]
        ours_alone = ours["name"] != names.MAIN_CONTAINER or name.startswith(names.SECRET_VARIABLE)
        if ours_alone and variables.get(name) != variable:
            yield f"env[{name}]"
