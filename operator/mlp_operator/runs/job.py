"""The manifest of a run's Job. Pure: the same run and plan always give the same Job.

The pod passes Pod Security *restricted*: no root, no capability, no privilege escalation, the runtime's seccomp
profile. One init container brings the project; ``main`` runs the command below an init program that it brought along,
so that a shell as PID 1, which ignores SIGTERM, never makes a deleted run wait for its whole grace period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlp.resources import ProjectRun
    from mlp.resources.plan import Plan

__all__ = ["ATTEMPT_ANNOTATION", "USER_ERROR_CODES", "PodDefaults", "attempt_of", "image_of", "manifest", "plan_of"]

ATTEMPT_ANNOTATION: Final = "mlp.dev/attempts-before"
"""On a Job: how many attempts of the run earlier Jobs, deleted by somebody, have used up."""

USER_ERROR_CODES: Final = (64, 65, 66, 67, 68, 69)
"""Exit codes of our steps that mean a mistake which another attempt would only repeat (mlp.errors)."""

_USER: Final = 65532
_POD_KEYS: Final = (
    "serviceAccountName",
    "nodeSelector",
    "tolerations",
    "affinity",
    "imagePullSecrets",
    "priorityClassName",
    "schedulerName",
    "runtimeClassName",
    "terminationGracePeriodSeconds",
)
"""Fields of spec.backend.kubernetes that stand in a PodSpec under the same name."""
_RUN_VOLUME: Final = "mlp-run"
_PLAN_VOLUME: Final = "mlp-plan"
_GIT_VOLUME: Final = "mlp-git"


@dataclass(frozen=True, slots=True)
class PodDefaults:
    """What the operator's settings say about every pod."""

    runner_image: str
    pull_policy: str = "IfNotPresent"


def image_of(run: ProjectRun, docker_image: str | None, defaults: PodDefaults) -> str:
    """The image of main: the run's own, else docker_env's, else the runner's."""
    return run.spec.environment.image or docker_image or defaults.runner_image


def manifest(
    run: ProjectRun,
    plan: Plan,
    *,
    image: str,
    defaults: PodDefaults,
    variables: Sequence[tuple[str, str]] = (),
    attempts_before: int = 0,
) -> dict[str, Any]:
    """The Job that executes a plan.

    Args:
        run: The resource; becomes the owner.
        plan: What the pod has to do.
        image: The image of main.
        defaults: The operator's settings.
        variables: Environment variables of main that the project sets.
        attempts_before: Attempts that earlier Jobs of the run have used up.

    Returns:
        A batch/v1 Job as JSON.
    """
    pod = _pod_fields(run)
    # Ours win: the operator finds its objects by them.
    labels = {**pod.get("labels", {}), **_labels(run, plan)}
    annotations = pod.get("annotations", {})
    init = names.FETCH_CONTAINER if plan.source.credentials else names.PREPARE_CONTAINER
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": run.metadata.name,
            "namespace": run.metadata.namespace,
            "labels": labels,
            "annotations": {**annotations, ATTEMPT_ANNOTATION: str(attempts_before)},
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
        "spec": {
            "backoffLimit": max(0, run.spec.backoff_limit - attempts_before),
            "activeDeadlineSeconds": run.spec.active_deadline_seconds,
            # Two pods of one run must never train at once.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": _failure_policy(init),
            "template": {
                "metadata": {"labels": labels, "annotations": {**annotations, names.PLAN_ANNOTATION: plan.to_json()}},
                "spec": _pod_spec(run, plan, init=init, image=image, defaults=defaults, variables=variables),
            },
        },
    }


def plan_of(job: dict[str, Any]) -> str | None:
    """The plan that a Job was made from, as JSON text."""
    template: dict[str, Any] = job["spec"]["template"].get("metadata") or {}
    text: str | None = (template.get("annotations") or {}).get(names.PLAN_ANNOTATION)
    return text


def attempt_of(job: dict[str, Any]) -> int:
    """The attempts of the run that were used up before this Job."""
    text = (job["metadata"].get("annotations") or {}).get(ATTEMPT_ANNOTATION, "0")
    # Anybody who may edit the Job may write anything there.
    return int(text) if text.isascii() and text.isdigit() else 0


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


def _failure_policy(init: str) -> dict[str, Any]:
    return {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": init, "operator": "In", "values": list(USER_ERROR_CODES)},
            },
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def _pod_fields(run: ProjectRun) -> dict[str, Any]:
    """spec.backend.kubernetes as the core API spells it; what is unset is not there."""
    fields = run.spec.backend.kubernetes
    return {} if fields is None else fields.to_dict()


def _pod_spec(
    run: ProjectRun,
    plan: Plan,
    *,
    init: str,
    image: str,
    defaults: PodDefaults,
    variables: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    pod = _pod_fields(run)
    secret = run.spec.project.auth_secret_ref
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        # A project is somebody's code: it gets no way into the cluster.
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            **pod.get("securityContext", {}),
        },
        "volumes": [
            {"name": _RUN_VOLUME, "emptyDir": {}},
            {
                "name": _PLAN_VOLUME,
                "downwardAPI": {
                    "items": [
                        {
                            "path": names.PLAN_FILE.rpartition("/")[2],
                            "fieldRef": {"fieldPath": f"metadata.annotations['{names.PLAN_ANNOTATION}']"},
                        }
                    ]
                },
            },
        ],
        "initContainers": [_init_container(init, credentials=plan.source.credentials, defaults=defaults)],
        "containers": [_main_container(run, plan, image=image, defaults=defaults, variables=variables)],
    }
    if plan.source.credentials and secret is not None:
        spec["volumes"].append({"name": _GIT_VOLUME, "secret": {"secretName": secret.name, "defaultMode": 0o400}})
    spec["volumes"] += pod.get("volumes", [])
    spec.update({key: pod[key] for key in _POD_KEYS if pod.get(key) not in (None, {}, [])})
    return spec


def _init_container(name: str, *, credentials: bool, defaults: PodDefaults) -> dict[str, Any]:
    mounts = [
        {"name": _RUN_VOLUME, "mountPath": names.RUN_DIRECTORY},
        {"name": _PLAN_VOLUME, "mountPath": names.PLAN_DIRECTORY, "readOnly": True},
    ]
    if credentials:
        mounts.append({"name": _GIT_VOLUME, "mountPath": names.GIT_CREDENTIALS_DIRECTORY, "readOnly": True})
    return {
        "name": name,
        "image": defaults.runner_image,
        "imagePullPolicy": defaults.pull_policy,
        "command": ["python", "-m", "mlp.steps"],
        "args": ["clone"],
        "env": [{"name": "HOME", "value": names.HOME_DIRECTORY}],
        "volumeMounts": mounts,
        # Little: a pod asks for the most that any of its containers asks for, and a burst has to fit a node.
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": _restricted(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _main_container(
    run: ProjectRun, plan: Plan, *, image: str, defaults: PodDefaults, variables: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    pod = _pod_fields(run)
    directory = names.PROJECT_DIRECTORY
    if plan.source.subdirectory:
        directory += "/" + plan.source.subdirectory
    container: dict[str, Any] = {
        "name": names.MAIN_CONTAINER,
        "image": image,
        "command": [names.INIT_PROGRAM, "--", "bash", "-c", _literal(plan.project.command)],
        "workingDir": directory,
        "env": [
            {"name": "HOME", "value": names.HOME_DIRECTORY},
            # Without it Python keeps its output until the buffer is full, and a killed process takes it along.
            {"name": "PYTHONUNBUFFERED", "value": "1"},
            *({"name": name, "value": _literal(value)} for name, value in variables),
            *pod.get("env", []),
        ],
        "volumeMounts": [{"name": _RUN_VOLUME, "mountPath": names.RUN_DIRECTORY}, *pod.get("volumeMounts", [])],
        "securityContext": _restricted(),
        # The end of the log of a failing command becomes part of the run's status without any right to read logs.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if image == defaults.runner_image:
        container["imagePullPolicy"] = defaults.pull_policy  # other images: as Kubernetes takes their tags
    container.update({key: pod[key] for key in ("envFrom", "resources") if pod.get(key)})
    return container


def _restricted() -> dict[str, Any]:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _literal(text: str) -> str:
    """The text so that kubelet passes it on unchanged: it would expand ``$(NAME)`` and fold ``$$`` in a command."""
    return text.replace("$", "$$")
