"""The part of a ProjectRun that shapes its pod on Kubernetes.

Names and meanings are those of the core API, each at the level of the pod or of container "main" that its
description names. Fragments that the API server knows better than we (affinity, volumes, security contexts) are
passed on as they stand: a typed copy of a PodTemplateSpec would make the CRD larger than kubectl can apply.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mlp.resources.model import Flag, Int64, KeyedBy, Raw, Rule, Seconds, SpecModel, bounded

__all__ = [
    "EnvironmentVariable",
    "KubernetesBackend",
    "LocalObjectReference",
    "ResourceRequirements",
    "Toleration",
    "Volume",
    "VolumeMount",
]

_QUANTITY = r"^[+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

Name = Annotated[str, bounded(253, shortest=1)]
"""The name of a Kubernetes object."""
LabelValue = Annotated[str, bounded(63)]


def _amount(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.search(_QUANTITY, value):
        return value
    shown = f'; write "{value}"' if isinstance(value, float) else ""
    raise PydanticCustomError("quantity", "must be an amount such as 2, 500m or 4Gi{shown}", {"shown": shown})


Quantity = Annotated[
    int | str,
    BeforeValidator(_amount),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "maxLength": 64, "pattern": _QUANTITY}),
]
"""An amount of a resource, such as 2, 500m or 4Gi."""


class LocalObjectReference(SpecModel):
    """An object in the namespace of the ProjectRun."""

    name: Name
    """The object's name."""


Amounts = Annotated[dict[str, Quantity], Field(max_length=32)]


class ResourceRequirements(SpecModel):
    """What container "main" asks for, as in the core API."""

    requests: Amounts | None = None
    """What the scheduler reserves, by resource name, such as cpu: 500m, memory: 2Gi, nvidia.com/gpu: 1."""
    limits: Amounts | None = None
    """What the container may not exceed, by resource name. A container over its memory limit is killed."""


class Toleration(SpecModel):
    """A taint that the pod accepts, as in the core API."""

    key: Annotated[str, bounded(316)] | None = None
    """The taint's key; unset, with operator Exists, means every taint."""
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = None
    """How the key relates to the value; Equal if unset."""
    value: Annotated[str, bounded(63)] | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; unset means all effects."""
    toleration_seconds: Int64 | None = None
    """How long a NoExecute taint is accepted; unset means for ever."""


class EnvironmentVariable(SpecModel):
    """A variable in the environment of container "main", as in the core API."""

    name: Annotated[str, bounded(253, shortest=1, pattern=r"^[^=]+$")]
    """The variable's name."""
    value: Annotated[str, bounded(32768)] | None = None
    """The variable's value."""
    value_from: Raw | None = None
    """Where the value comes from (secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef), as in the core API."""

    rules = (
        Rule(
            "!(has(self.value) && has(self.valueFrom))",
            "an environment variable has either value or valueFrom, not both",
            lambda variable: variable.value is None or variable.value_from is None,
        ),
    )


class Volume(SpecModel):
    """A volume of the pod, as in the core API."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, bounded(63, shortest=1)]
    """The volume's name, to which volumeMounts refer. Its source stands beside it, as in the core API."""


class VolumeMount(SpecModel):
    """Where container "main" sees a volume, as in the core API."""

    name: Annotated[str, bounded(63, shortest=1)]
    """The volume's name."""
    mount_path: Annotated[str, bounded(4096, shortest=1)]
    """Where the volume appears. Everything below /mlp belongs to mlp."""
    sub_path: Annotated[str, bounded(4096)] | None = None
    """The part of the volume that appears; the whole volume if unset."""
    sub_path_expr: Annotated[str, bounded(4096)] | None = None
    """As subPath, with $(NAME) replaced by environment variables."""
    read_only: Flag | None = None
    """Whether the container may only read."""
    recursive_read_only: Literal["Disabled", "IfPossible", "Enabled"] | None = None
    """Whether what is mounted inside a read-only volume is read-only too."""
    mount_propagation: Literal["None", "HostToContainer", "Bidirectional"] | None = None
    """How mounts spread between the host and the container."""

    rules = (
        Rule(
            "self.mountPath != '/mlp' && !self.mountPath.startsWith('/mlp/')",
            "everything below /mlp belongs to mlp; mount the volume elsewhere",
            lambda mount: mount.mount_path != "/mlp" and not mount.mount_path.startswith("/mlp/"),
            field="mountPath",
        ),
    )


class KubernetesBackend(SpecModel):
    """How the run's pod is made. Everything is optional."""

    service_account_name: Name | None = None
    """The pod's ServiceAccount; the namespace's default if unset. The token of one that is named here is mounted in
    container "main" alone; the default's is not mounted at all."""
    resources: ResourceRequirements | None = None
    """What container "main" asks for and may use."""
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=64)] | None = None
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] | None = None
    """Taints that the pod accepts."""
    affinity: Raw | None = None
    """The pod's affinity, as in the core API."""
    env: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=256), KeyedBy("name")] | None = None
    """Environment variables of container "main"."""
    env_from: Annotated[tuple[Raw, ...], Field(max_length=64)] | None = None
    """Secrets and ConfigMaps whose keys become environment variables of container "main", as in the core API."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=64), KeyedBy("name")] | None = None
    """Volumes of the pod, beside mlp's own."""
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=64), KeyedBy("mount_path")] | None = None
    """Where container "main" sees these volumes."""
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=16), KeyedBy("name")] | None = None
    """Secrets for pulling the images."""
    security_context: Raw | None = None
    """The pod's security context, as in the core API, over the restricted one that mlp sets."""
    priority_class_name: Name | None = None
    """The pod's PriorityClass."""
    scheduler_name: Name | None = None
    """The scheduler that places the pod; the cluster's default if unset."""
    runtime_class_name: Name | None = None
    """The RuntimeClass that runs the pod's containers."""
    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] | None = None
    """Labels added to the Job and its pods."""
    annotations: Annotated[dict[str, Annotated[str, bounded(65536)]], Field(max_length=64)] | None = None
    """Annotations added to the Job and its pods."""
    termination_grace_period_seconds: Seconds | None = None
    """How long the command may take to end after SIGTERM; 30 seconds if unset."""
    pod_template: Raw | None = None
    """A PodTemplateSpec that is laid over the pod by a strategic merge; the command runs in container "main"."""
