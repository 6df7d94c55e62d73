"""Why a pod has not begun, for people: the scheduler's and kubelet's words, and the way out. Pure.

A pod's status alone says little between its binding to a node and its first container: which volume cannot be mounted
and for want of which Secret stands in events. What their messages look like is kubelet's and the scheduler's, told
apart here by the words that they have had for many releases; words that nobody knows are passed on as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mlp.resources.conditions import Phase, Reason
from mlp_operator.runs.pods import Situation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["explain"]

Object = dict[str, Any]

_FIELDS: Final = {
    "mlp-git": "spec.project.authSecretRef",
    "mlp-bundle": "spec.project.bundle.configMapName",
    "mlp-data": "spec.data.secretRef",
    "mlp-tracking": "spec.tracking.secretRef",
    "mlp-aws": "spec.data",
    "mlp-index": "spec.environment.secretRef",
    "mlp-envs": "spec.environment.cache.volumeClaimName",
    "mlp-service-account": "spec.backend.kubernetes.serviceAccountName",
}
"""The field that asks for each volume of ours (volumes.py). Others are the user's own."""

_OTHERS: Final = "spec.backend.kubernetes.volumes"
_CLAIMS: Final = f"{_FIELDS['mlp-envs']} or {_OTHERS}"

_VOLUME: Final = re.compile(r'for volume "(?P<volume>[^"]+)"')
_UNMOUNTED: Final = re.compile(r"unmounted volumes=\[(?P<volumes>[^\]]*)\]")
_MISSING: Final = re.compile(r'\b(?P<kind>secret|configmap)s? "(?P<name>[^"]+)" not found', re.IGNORECASE)
_UNREGISTERED: Final = re.compile(r'object "[^"]*"/"(?P<name>[^"]+)" not registered')
_MISSING_KEY: Final = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) [^/\s]+/(?P<name>[^\s,\]]+)"
)
_NO_SUCH_KEY: Final = re.compile(r"references non-existent (?P<kind>secret|config) key: (?P<key>[^\s,\]]+)")
_MISSING_CLAIM: Final = re.compile(r'persistentvolumeclaims? "(?P<name>[^"]+)" (?P<what>not found|is being deleted)')
_OF_CLAIM: Final = re.compile(r"error processing PVC (?P<namespace>[^/\s]+)/(?P<name>[^:\s]+): (?P<what>[^;]*)")
_MULTI_ATTACH: Final = re.compile(r"Multi-Attach error|already exclusively attached|attached to another node")
_NO_PULL_SECRET: Final = re.compile(r"Unable to retrieve some image pull secrets \((?P<names>[^)]*)\)")
_UNKNOWN_IMAGE: Final = re.compile(r"not found|manifest unknown|does not exist", re.IGNORECASE)
_DENIED_IMAGE: Final = re.compile(r"unauthorized|denied|forbidden|authentication required|\b40[13]\b", re.IGNORECASE)

_OF_VOLUMES: Final = frozenset({"FailedMount", "FailedMapVolume", "FailedAttachVolume"})
_OF_SANDBOX: Final = frozenset({"FailedCreatePodSandBox", "NetworkNotReady"})
_PULLING: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_CREATING: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

_SCHEDULING: Final = (
    (
        re.compile(r"Insufficient (?P<what>[^\s,.]+(\.[^\s,.]+)*)"),
        "Not enough of {what} is free: wait, or ask for less in spec.backend.kubernetes.resources of a new ProjectRun.",
    ),
    (
        re.compile(r"untolerated taint"),
        "Nodes with taints take pods that tolerate them: spec.backend.kubernetes.tolerations.",
    ),
    (
        re.compile(r"didn't match Pod's node (affinity|selector)"),
        "No node has what spec.backend.kubernetes.nodeSelector and affinity ask for.",
    ),
    (
        re.compile(r"volume node affinity|match PersistentVolume's node affinity|no available volume zone"),
        "A volume of the run can only be used on other nodes than those that could take the pod.",
    ),
    (
        re.compile(r"ReadWriteOncePod access mode already in-use"),
        "Another pod uses a claim that only one pod at a time may use.",
    ),
    (re.compile(r"Too many pods"), "The nodes run as many pods as they may: wait until others have ended."),
)
"""What the scheduler says of nodes, and what that means for the run."""
_WAITING_FOR_VOLUMES: Final = re.compile(
    r"persistent ?volume|\bpvc\b|volume zone|VolumeBinding|free storage", re.IGNORECASE
)


def explain(pod: Object, events: Sequence[Object]) -> Situation | None:
    """Say what keeps a pending pod from beginning.

    Args:
        pod: The pod; its status is enough.
        events: Events of type Warning about this very pod, in any order.

    Returns:
        What is in the way; None if nothing is known to be.
    """
    condition = _condition(pod, "PodScheduled")
    if condition is not None and condition["status"] == "False":
        return _unscheduled(condition)
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason") or "", waiting.get("message") or ""
        if reason in _PULLING:
            return _preparing(Reason.IMAGE_PULL_BACK_OFF, _not_pulled(container, message or reason, events))
        if reason in _CREATING:
            return _preparing(reason, _not_created(container, message or reason))
    if _has_sandbox(pod):
        # What is said of volumes and of the network is over.
        return None
    of_volumes = [event for event in events if event.get("reason") in _OF_VOLUMES]
    found = max(of_volumes, key=_weight, default=None)
    if found is not None:
        return _no_volume(_said(found))
    found = max((event for event in events if event.get("reason") in _OF_SANDBOX), key=_weight, default=None)
    if found is not None:
        text = f"The node cannot set up the pod's network and sandbox, which is the cluster's to repair: {_said(found)}"
        return _preparing(str(found["reason"]), text)
    return None


def _preparing(reason: str, message: str) -> Situation:
    return Situation(Phase.PREPARING, reason, message)


# --- the scheduler ---------------------------------------------------------------------------------------------------


def _unscheduled(condition: Object) -> Situation:
    message = " ".join((condition.get("message") or "The scheduler gives no reason.").split())
    if condition.get("reason") == "SchedulingGated":
        return _preparing("SchedulingGated", f"Somebody holds the pod back with a scheduling gate: {message}")
    text = f"No node takes the pod: {message}"
    if claim := _MISSING_CLAIM.search(message):
        return _preparing(Reason.VOLUME_PENDING, f"{text} {_missing_claim(claim['name'], claim['what'])}")
    if "unbound immediate PersistentVolumeClaims" in message:
        way = (
            "A claim has no volume yet: its own events say why (kubectl describe pvc). Claims of a run are named in "
            f"{_CLAIMS}."
        )
        return _preparing(Reason.VOLUME_PENDING, f"{text} {way}")
    # Nodes differ in what keeps them from taking a pod, so there may be several.
    ways = [way.format(**_parts(found)) for said, way in _SCHEDULING if (found := said.search(message))]
    reason = Reason.VOLUME_PENDING if _WAITING_FOR_VOLUMES.search(message) else Reason.UNSCHEDULABLE
    return _preparing(reason, " ".join([text, *ways]))


def _parts(found: re.Match[str]) -> dict[str, str]:
    return {name: text or "" for name, text in found.groupdict().items()}


def _missing_claim(name: str, what: str) -> str:
    if what == "not found":
        return f"Create the PersistentVolumeClaim {name}, or name another in {_CLAIMS} of a new ProjectRun."
    return f"The PersistentVolumeClaim {name} is being deleted: create it anew, or name another in {_CLAIMS}."


# --- containers ------------------------------------------------------------------------------------------------------


def _not_pulled(container: Object, message: str, events: Sequence[Object]) -> str:
    text = f"The image {container['image']} cannot be pulled: {message}"
    absent = [found["names"] for event in events if (found := _NO_PULL_SECRET.search(_said(event)))]
    if absent:
        return (
            f"{text} The node found no {_secrets(absent[-1])}: create what "
            "spec.backend.kubernetes.imagePullSecrets names, or name another in a new ProjectRun."
        )
    if _DENIED_IMAGE.search(message):
        return f"{text} Name a Secret that may pull it in spec.backend.kubernetes.imagePullSecrets of a new ProjectRun."
    if _UNKNOWN_IMAGE.search(message):
        return f"{text} Check the name, and create a new ProjectRun."
    return text


def _secrets(listed: str) -> str:
    return f"Secrets {listed}" if "," in listed else f"Secret {listed}"


def _not_created(container: Object, message: str) -> str:
    text = f"The container {container['name']} cannot be created: {message}."
    if (found := _MISSING_KEY.search(message)) is not None:
        kind = found["kind"]
        return f"{text} Add the key {found['key']} to the {kind} {found['name']}; the run goes on by itself."
    if (found := _MISSING.search(message)) is not None:
        return f"{text} Create the {_kind(found['kind'])} {found['name']}; the run goes on by itself."
    if "runAsNonRoot" in message or "non-numeric user" in message:
        return (
            f"{text} The image's user is root or has only a name: give spec.backend.kubernetes.securityContext "
            "{runAsUser: <number>} in a new ProjectRun, or another image."
        )
    return text


# --- kubelet: volumes ------------------------------------------------------------------------------------------------


def _no_volume(message: str) -> Situation:
    field = _field(message) or _OTHERS
    if (found := _MISSING.search(message)) is not None:
        kind, name = _kind(found["kind"]), found["name"]
        text = f"There is no {kind} {name} for {field}. Create it; the run goes on by itself. ({message})"
        return _preparing(Reason.VOLUME_MOUNT_FAILED, text)
    if (found := _UNREGISTERED.search(message)) is not None:
        text = f"The node has not got {found['name']} for {field} yet. ({message})"
        return _preparing(Reason.VOLUME_MOUNT_FAILED, text)
    if (found := _NO_SUCH_KEY.search(message)) is not None:
        kind = "Secret" if found["kind"] == "secret" else "ConfigMap"
        text = f"The {kind} of {field} has no key {found['key']}. Add it; the run goes on by itself. ({message})"
        return _preparing(Reason.VOLUME_MOUNT_FAILED, text)
    if (found := _MISSING_CLAIM.search(message)) is not None:
        return _preparing(Reason.VOLUME_PENDING, f"{_missing_claim(found['name'], found['what'])} ({message})")
    if (found := _OF_CLAIM.search(message)) is not None:
        text = f"The PersistentVolumeClaim {found['name']} of {field} cannot be used: {found['what'].strip()}."
        return _preparing(Reason.VOLUME_PENDING, f"{text} Its own events say more (kubectl describe pvc). ({message})")
    if _MULTI_ATTACH.search(message):
        text = (
            "A volume is attached to another node, and only one at a time may have it. The run goes on when the pods "
            f"there have ended; a claim with access mode ReadWriteMany would let them run together. ({message})"
        )
        return _preparing(Reason.VOLUME_PENDING, text)
    # The volume of a claim is called by a name of its own, which may be any.
    field = _field(message) or _CLAIMS
    return _preparing(Reason.VOLUME_MOUNT_FAILED, f"The node cannot mount what {field} asks for: {message}")


def _field(message: str) -> str:
    """The field that asks for what a message is about; nothing if no volume of ours is named there."""
    names = [found["volume"]] if (found := _VOLUME.search(message)) else []
    if (found := _UNMOUNTED.search(message)) is not None:
        names += found["volumes"].split()
    return ", ".join(dict.fromkeys(_FIELDS[name] for name in names if name in _FIELDS))


def _kind(word: str) -> str:
    return "Secret" if word.lower() == "secret" else "ConfigMap"


# --- objects ---------------------------------------------------------------------------------------------------------


def _weight(event: Object) -> tuple[bool, str, int]:
    """What is said of one volume comes before what is said of all; then the newest word counts."""
    message = _said(event)
    vague = message.startswith("Unable to attach or mount") and not _OF_CLAIM.search(message)
    series = event.get("series") or {}
    moment = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    version = (event.get("metadata") or {}).get("resourceVersion") or ""
    # To the second: some events have more digits than others.
    return not vague, moment[:19], int(version) if version.isdecimal() else 0


def _said(event: Object) -> str:
    return " ".join((event.get("message") or "").split())


def _condition(pod: Object, kind: str) -> Object | None:
    return next((each for each in pod["status"].get("conditions") or () if each["type"] == kind), None)


def _containers(pod: Object) -> list[Object]:
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _has_sandbox(pod: Object) -> bool:
    condition = _condition(pod, "PodReadyToStartContainers")
    if condition is not None and condition["status"] == "True":
        return True
    states = [container.get("state") or {} for container in _containers(pod)]
    return any("running" in state or "terminated" in state for state in states)
