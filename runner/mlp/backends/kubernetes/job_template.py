"""A Job template of MLflow's Kubernetes backend, in the words of a ProjectRun. Pure: one object in, fields out.

MLflow fills a template in: the first container gets the project's name, image and command. Here the operator makes the
Job, so what the template says of the pod becomes an overlay (spec.backend.kubernetes.podTemplate), what it says of the
Job becomes the field of the ProjectRun with that meaning, and what has none is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mlp.errors import UsageError
from mlp.resources.names import MAIN_CONTAINER, QUEUE_LABEL, QUEUE_PRIORITY_LABEL

__all__ = ["FromTemplate", "read_job"]

Object = dict[str, Any]

_SAME: Final = ("backoffLimit", "activeDeadlineSeconds")
"""Fields of a Job that a ProjectRun has under the same name."""
_ONE_POD: Final = {"completions": 1, "parallelism": 1, "completionMode": "NonIndexed", "manualSelector": False}
"""Fields that cannot say anything else, for a run is one pod."""
_MLFLOWS: Final = ("name", "image", "command")
"""What MLflow, too, writes over in the first container, whatever stands there."""


class FromTemplate(NamedTuple):
    """What a template says.

    Attributes:
        namespace: The Job's namespace.
        spec: Fields of a ProjectRun's spec.
    """

    namespace: str | None
    spec: Object


def read_job(job: Mapping[str, Any]) -> FromTemplate:
    """Say in the words of a ProjectRun what a Job template says.

    Raises:
        UsageError: It is no Job, or asks for something that a run's Job cannot have.
    """
    if (kind := job.get("kind", "Job")) != "Job":
        raise UsageError(f"The Job template is a {kind}, and must be a Job.")
    metadata, spec = dict(_object(job, "metadata")), dict(_object(job, "spec"))
    template = _object(spec, "template", within="spec")
    for key in ("name", "generateName", "creationTimestamp"):
        metadata.pop(key, None)
    namespace = metadata.pop("namespace", None)
    labels = dict(metadata.pop("labels", None) or {})
    queue = labels.pop(QUEUE_LABEL, None)
    result = {
        **{key: spec.pop(key, None) for key in _SAME},
        **_times_and_holds(spec, queued=queue is not None),
        "queueName": queue,
        "queuePriorityClassName": labels.pop(QUEUE_PRIORITY_LABEL, None),
    }
    kubernetes = {
        "labels": labels,
        "annotations": metadata.pop("annotations", None),
        "podTemplate": _pod_template(template),
    }
    spec.pop("template", None)
    for field, only in _ONE_POD.items():
        if spec.pop(field, only) != only:
            raise UsageError(f"The Job template's spec.{field} can only be {only}: a run is one pod.")
    if left := [f"metadata.{key}" for key in metadata] + [f"spec.{key}" for key in spec]:
        raise UsageError(f"The Job template has {', '.join(left)}, which mlp's operator decides itself. Leave it out.")
    return FromTemplate(namespace, _given({**result, "backend": _given({"kubernetes": _given(kubernetes)})}))


def _times_and_holds(spec: Object, *, queued: bool) -> Object:
    """Take out of a Job's spec what a ProjectRun says otherwise."""
    seconds = spec.pop("ttlSecondsAfterFinished", None)
    kept = {} if seconds is None else {"jobSecondsAfterSuccess": seconds, "jobSecondsAfterFailure": seconds}
    suspended = bool(spec.pop("suspend", False))
    # With a queue a Job starts suspended anyway, and it is the queue's to release it.
    return {"retention": kept, "suspend": True if suspended and not queued else None}


def _pod_template(template: Mapping[str, Any]) -> Object:
    """The template's pod without what belongs to the project, for an overlay."""
    pod = dict(_object(template, "spec", within="spec.template"))
    if (policy := pod.pop("restartPolicy", "Never")) != "Never":
        raise UsageError(
            f"The Job template's restartPolicy is {policy}, and must be Never: another attempt is another pod, as "
            "often as backoffLimit says."
        )
    containers = pod.pop("containers", None) or []
    if not isinstance(containers, list) or not all(isinstance(container, dict) for container in containers):
        raise UsageError("The Job template's spec.template.spec.containers must be a list of containers.")
    if containers:
        main, *others = containers
        pod["containers"] = [_main(main), *others]
        if pod["containers"] == [{"name": MAIN_CONTAINER}]:
            del pod["containers"]
    return _given({**template, "spec": pod})


def _main(container: Mapping[str, Any]) -> Object:
    if "args" in container:
        raise UsageError(
            "The Job template's first container has args, and its command is the entry point's. Give the run "
            "parameters instead."
        )
    main = {key: value for key, value in container.items() if key not in _MLFLOWS}
    if isinstance(variables := main.get("env"), list):
        # MLflow's own example has a text in curly brackets where it appends variables.
        main["env"] = [variable for variable in variables if not isinstance(variable, str)]
    return _given({"name": MAIN_CONTAINER, **main})


def _object(owner: Mapping[str, Any], key: str, *, within: str = "") -> Mapping[str, Any]:
    value = owner.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        place = f"{within}.{key}" if within else key
        raise UsageError(f"The Job template's {place} must be an object, and is {str(value)[:60]!r}.")
    return value


def _given(fields: Mapping[str, Any]) -> Object:
    return {key: value for key, value in fields.items() if value is not None and value not in ({}, [])}
