"""What the caches know of the kinds that they hold: whose an object is, which part of it is worth its memory. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.resources import names

if TYPE_CHECKING:
    from mlp_operator.machinery.cache import Key, Object

__all__ = ["owner_by_label", "trim_job", "trim_pod", "trim_run"]

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def owner_by_label(obj: Object) -> Key:
    """The run that a Job or a pod belongs to."""
    metadata = obj["metadata"]
    return metadata["namespace"], (metadata.get("labels") or {}).get(names.RUN_LABEL, "")


def trim_run(obj: Object) -> Object:
    """A ProjectRun without what nobody here reads: the copy that kubectl apply keeps of it."""
    annotations = {
        key: value for key, value in (obj["metadata"].get("annotations") or {}).items() if key != _LAST_APPLIED
    }
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def trim_job(obj: Object) -> Object:
    """A Job as far as decisions read it: of its pods' template, the plan."""
    template = obj["spec"]["template"].get("metadata") or {}
    plan = {key: value for key, value in (template.get("annotations") or {}).items() if key == names.PLAN_ANNOTATION}
    spec = {key: obj["spec"][key] for key in ("suspend", "activeDeadlineSeconds") if key in obj["spec"]}
    return {**obj, "spec": {**spec, "template": {"metadata": {"annotations": plan}}}}


def trim_pod(obj: Object) -> Object:
    """A pod as far as decisions read it: its state, of its spec the node, and whose MLflow run it is."""
    annotations = obj["metadata"].get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if key == names.TRACKING_ANNOTATION}
    metadata = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    if kept:
        metadata["annotations"] = kept
    return {**obj, "metadata": metadata, "spec": {"nodeName": (obj.get("spec") or {}).get("nodeName")}}
