"""The pod of a run, as a PodTemplateSpec. Pure: the same run and plan always give the same pod.

It passes Pod Security *restricted*: no root, no capability, no privilege escalation, the runtime's seccomp profile; our
own containers write to volumes alone. What prepares the pod and sees no credentials is one init container. Where
credentials are mounted, ``fetch`` brings the project and its data, and ``environment``, which runs code of packages,
sees no more than what package indexes ask for. ``main`` sees none of them. It runs the command below an init program
that was brought along, so that a shell as PID 1, which ignores SIGTERM, never makes a deleted run wait for its whole
grace period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import UsageError
from mlp.resources import names
from mlp_operator.runs.recording import annotation_of
from mlp_operator.runs.variables import literal, of_main, of_step, tracking_credentials
from mlp_operator.runs.volumes import Place, bringing, building, of_run, service_account, temporary

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp.resources.plan import Plan
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.runs.recording import TrackedRun, TrackingServer

__all__ = ["PodDefaults", "pod_fields", "template"]

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

# Little: a pod asks for the most that any of its containers asks for, and a burst has to fit a node. No limits: how
# much memory it takes to solve an environment is known to nobody before.
_BRINGING: Final = {"cpu": "10m", "memory": "32Mi"}
_BUILDING: Final = {"cpu": "50m", "memory": "128Mi"}


@dataclass(frozen=True, slots=True)
class PodDefaults:
    """What the operator's settings say about every pod.

    Attributes:
        runner_image: The image of our own containers, and of main where nobody names another.
        pull_policy: When it is pulled.
        cache_claim: The PersistentVolumeClaim, in each run's namespace, that holds environments.
        tracking_uri: The tracking server of runs that name none.
        tracking_secret: The Secret, in each run's namespace, with the credentials for it.
        step_variables: Variables of our own containers, by name and value.
    """

    runner_image: str
    pull_policy: str = "IfNotPresent"
    cache_claim: str | None = None
    tracking_uri: str | None = None
    tracking_secret: str | None = None
    step_variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Stage:
    """One of our init containers: its steps, and what it sees."""

    name: str
    steps: tuple[str, ...]
    places: tuple[Place, ...]


def template(
    run: ProjectRun,
    resolved: Resolved,
    *,
    image: str,
    defaults: PodDefaults,
    tracking: TrackingServer | None,
    tracked: TrackedRun | None,
    labels: dict[str, str],
) -> dict[str, Any]:
    """The pod, before podTemplate is laid over it.

    Args:
        run: The resource.
        resolved: What the pod has to do.
        image: The image of main.
        defaults: The operator's settings.
        tracking: The tracking server.
        tracked: The run in MLflow, if it is there already.
        labels: The pod's labels.

    Raises:
        UsageError: The run names a volume as one of ours is named.
    """
    plan, pod = resolved.plan, pod_fields(run)
    stages = _stages(run, plan, defaults, tracking)
    seen = _seen_by_main(run, plan, defaults)
    metadata: dict[str, Any] = {
        "labels": labels,
        "annotations": {
            **{key: value for key, value in pod.get("annotations", {}).items() if key != names.TRACKING_ANNOTATION},
            names.PLAN_ANNOTATION: plan.to_json(),
        },
    }
    if tracked is not None:
        metadata["annotations"][names.TRACKING_ANNOTATION] = annotation_of(tracking, tracked, uid=run.uid)
        metadata["finalizers"] = [names.TRACKING_FINALIZER]
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        # A project is somebody's code: it gets no way into the cluster, unless the run names an account for it.
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            # Otherwise kubelet goes through every file of a shared cache before each pod.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
            **pod.get("securityContext", {}),
        },
        "volumes": _volumes([place for stage in stages for place in stage.places] + seen, pod.get("volumes", [])),
        "initContainers": [_init_container(stage, defaults) for stage in stages],
        "containers": [_main(run, resolved, seen, image=image, defaults=defaults, tracking=tracking, tracked=tracked)],
        **{key: pod[key] for key in _POD_KEYS if pod.get(key) not in (None, {}, [])},
    }
    return {"metadata": metadata, "spec": spec}


def pod_fields(run: ProjectRun) -> dict[str, Any]:
    """spec.backend.kubernetes as the core API spells it; what is unset is not there."""
    fields = run.spec.backend.kubernetes
    return {} if fields is None else fields.to_dict()


def _stages(run: ProjectRun, plan: Plan, defaults: PodDefaults, tracking: TrackingServer | None) -> tuple[_Stage, ...]:
    ours = of_run()
    brought, secrets = bringing(run, plan, tracking)
    built, keys = building(run, plan, defaults.cache_claim)
    if not secrets and not keys:
        name = names.PREPARE_CONTAINER
        return (_Stage(name, plan.steps, (*ours, temporary(name), *brought, *built)),)
    name = names.FETCH_CONTAINER
    steps = tuple(step for step in plan.steps if step != "environment")
    fetch = _Stage(name, steps, (*ours, temporary(name), *brought, *secrets))
    if plan.environment is None:
        return (fetch,)
    name = names.ENVIRONMENT_CONTAINER
    return (fetch, _Stage(name, ("environment",), (*ours, temporary(name), *built, *keys)))


def _seen_by_main(run: ProjectRun, plan: Plan, defaults: PodDefaults) -> list[Place]:
    project, _ = of_run()
    built, _ = building(run, plan, defaults.cache_claim)
    account = service_account(run)
    return [project, *(place.only_read() for place in built), *([account] if account is not None else [])]


def _volumes(places: list[Place], given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ours = {place.volume: place.source for place in places}
    if taken := [volume["name"] for volume in given if volume["name"] in ours]:
        raise UsageError(
            f"spec.backend.kubernetes.volumes: {', '.join(taken)} is the name of a volume of mlp's own. Give yours "
            "another name."
        )
    return [*({"name": name, **source} for name, source in ours.items()), *given]


def _init_container(stage: _Stage, defaults: PodDefaults) -> dict[str, Any]:
    builds = "environment" in stage.steps
    return {
        "name": stage.name,
        "image": defaults.runner_image,
        "imagePullPolicy": defaults.pull_policy,
        "command": ["python", "-m", "mlp.steps"],
        "args": list(stage.steps),
        "env": of_step(defaults.step_variables, builds=builds),
        "volumeMounts": [place.mount for place in stage.places],
        "resources": {"requests": dict(_BUILDING if builds else _BRINGING)},
        "securityContext": {**_restricted(), "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _main(
    run: ProjectRun,
    resolved: Resolved,
    places: list[Place],
    *,
    image: str,
    defaults: PodDefaults,
    tracking: TrackingServer | None,
    tracked: TrackedRun | None,
) -> dict[str, Any]:
    pod, plan = pod_fields(run), resolved.plan
    command = plan.project.command
    if plan.environment is not None:
        # On a line of its own: the command may begin with a comment. 126: found, and not executable.
        command = f". {names.ACTIVATE_FILE} || exit 126\n{command}"
    container: dict[str, Any] = {
        "name": names.MAIN_CONTAINER,
        "image": image,
        "command": [names.INIT_PROGRAM, "--", "bash", "-c", literal(command)],
        "workingDir": plan.directory,
        "env": of_main(run, resolved, tracking, tracked, given=pod.get("env", [])),
        "volumeMounts": [*(place.mount for place in places), *pod.get("volumeMounts", [])],
        "securityContext": _restricted(),
        # The end of the log of a failing command becomes part of the run's status without any right to read logs. With
        # a parameter from a Secret it does not: a program that fails may well print what it was called with.
        "terminationMessagePolicy": "File" if resolved.secret_variables else "FallbackToLogsOnError",
    }
    if image == defaults.runner_image:
        container["imagePullPolicy"] = defaults.pull_policy  # other images: as Kubernetes takes their tags
    if sources := [*tracking_credentials(run, tracking), *pod.get("envFrom", [])]:
        container["envFrom"] = sources
    if pod.get("resources"):
        container["resources"] = pod["resources"]
    return container


def _restricted() -> dict[str, Any]:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
