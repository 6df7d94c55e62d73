"""The manifest of a run's Job. Pure: the same run and plan always give the same Job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names
from mlp_operator.runs.overlay import overlaid
from mlp_operator.runs.reserved import refuse_losses
from mlp_operator.runs.template import PodDefaults, pod_fields, template

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp.resources.plan import Plan
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.runs.recording import TrackedRun, TrackingServer

__all__ = ["ATTEMPT_ANNOTATION", "USER_ERROR_CODES", "PodDefaults", "attempt_of", "image_of", "manifest", "plan_of"]

ATTEMPT_ANNOTATION: Final = "mlp.dev/attempts-before"
"""On a Job: how many attempts of the run earlier Jobs, deleted by somebody, have used up."""

_DIGITS: Final = 9

USER_ERROR_CODES: Final = (64, 65, 66, 67, 68, 69)
"""Exit codes of our steps that mean a mistake which another attempt would only repeat (mlp.errors)."""


def image_of(run: ProjectRun, docker_image: str | None, defaults: PodDefaults) -> str:
    """The image of main: the run's own, else docker_env's, else the runner's.

    An environment that was built is used by main as it lies in the volume, so an image of the run's own has to be one
    in which the programs that the runner's image has built can run: of the same architecture, with a glibc that is no
    older.
    """
    return run.spec.environment.image or docker_image or defaults.runner_image


def manifest(
    run: ProjectRun,
    resolved: Resolved,
    *,
    image: str,
    defaults: PodDefaults,
    tracking: TrackingServer | None,
    tracked: TrackedRun | None,
    attempts_before: int = 0,
) -> dict[str, Any]:
    """The Job that executes a plan.

    Args:
        run: The resource; becomes the owner.
        resolved: What the pod has to do.
        image: The image of main.
        defaults: The operator's settings.
        tracking: The tracking server.
        tracked: The run in MLflow, if it is there already.
        attempts_before: Attempts that earlier Jobs of the run have used up.

    Returns:
        A batch/v1 Job as JSON.

    Raises:
        UsageError: A volume or spec.backend.kubernetes.podTemplate gets into the way of what is ours.
            `mlp_operator.runs.planning.plan_run` has found that out before.
    """
    pod = pod_fields(run)
    # Ours win: the operator finds its objects by them.
    labels = {**pod.get("labels", {}), **_labels(run, resolved.plan)}
    ours = template(run, resolved, image=image, defaults=defaults, tracking=tracking, tracked=tracked, labels=labels)
    whole = ours
    if (overlay := pod.get("podTemplate")) is not None:
        whole = overlaid(ours, overlay)
        refuse_losses(ours, whole)
    spec: dict[str, Any] = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": max(0, run.spec.backoff_limit - attempts_before),
        "activeDeadlineSeconds": run.spec.active_deadline_seconds,
        # Two pods of one run must never train at once.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": _failure_policy([container["name"] for container in ours["spec"]["initContainers"]]),
        "template": whole,
    }
    if run.spec.queue_name is not None:
        # The queue starts it when there is room, and stops it when there is none any more.
        spec["suspend"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": run.metadata.name,
            "namespace": run.metadata.namespace,
            "labels": {**labels, **_queue_labels(run)},
            "annotations": {**pod.get("annotations", {}), ATTEMPT_ANNOTATION: str(attempts_before)},
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": run.metadata.name,
                    "uid": run.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": spec,
    }


def plan_of(job: dict[str, Any]) -> str | None:
    """The plan that a Job was made from, as JSON text."""
    template: dict[str, Any] = job["spec"]["template"].get("metadata") or {}
    text: str | None = (template.get("annotations") or {}).get(names.PLAN_ANNOTATION)
    return text


def attempt_of(job: dict[str, Any]) -> int:
    """The attempts of the run that were used up before this Job."""
    text = (job["metadata"].get("annotations") or {}).get(ATTEMPT_ANNOTATION, "0")
    # Anybody who may edit the Job may write anything there, also what no status takes.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0


def _labels(run: ProjectRun, plan: Plan) -> dict[str, str]:
    return {
        names.RUN_LABEL: run.metadata.name,
        "app.kubernetes.io/managed-by": "mlp-operator",
        "app.kubernetes.io/name": _label_value(plan.project.name),
    }


def _label_value(text: str) -> str:
    """The nearest label value: letters, digits, ``-_.`` inside, at most 63 (kubernetes.io/docs: label syntax)."""
    allowed = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "-" for char in text)
    return allowed[:63].strip("-_.") or "project"


def _queue_labels(run: ProjectRun) -> dict[str, str]:
    asked = {names.QUEUE_LABEL: run.spec.queue_name, names.QUEUE_PRIORITY_LABEL: run.spec.queue_priority_class_name}
    return {label: value for label, value in asked.items() if value is not None}


def _failure_policy(containers: list[str]) -> dict[str, Any]:
    codes = {"operator": "In", "values": list(USER_ERROR_CODES)}
    return {
        "rules": [
            *({"action": "FailJob", "onExitCodes": {"containerName": name, **codes}} for name in containers),
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }
