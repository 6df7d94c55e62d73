"""The ProjectRun that stands for what was asked on a command line or in a call. No cluster is asked here.

What lies on this machine has been packed by then (mlp.backends.sending): here it is a project's fields.
"""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.databricks_fields import COMPUTE_FIELDS, backend_fields, refuse_pod_options
from mlp.errors import UsageError
from mlp.resources import ProjectRun
from mlp.resources.names import API_VERSION, KIND, MAX_NAME_LENGTH
from mlp.source.location import project_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Request", "project_run", "suffixed", "with_request"]

_SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, and nothing that looks like something else: as Kubernetes' own generated names."""
_SUFFIX_LENGTH: Final = 5
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""RFC 1123, as Kubernetes asks of most names."""

_POLICIES: Final = {name.lower(): name for name in ("Use", "Refresh", "Disabled")}
_MANAGERS: Final = {name.lower(): name for name in ("Auto", "Conda", "Virtualenv", "Local", "Image")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What someone asks for, in the words of the command line. None and empty mean: not asked.

    Attributes:
        uri: The project's Git URI; ``#subdirectory`` may follow. It gives the run its name, too.
        project: Fields of spec.project that stand for a project that is no Git URI.
        entry_point: An entry point, or a script's path in the project.
        version: A branch, tag or commit.
        parameters: Values by name.
        auth_secret: The name of a Secret with Git credentials.
        env_manager: auto, conda, virtualenv, local or image.
        image: The image that the command runs in.
        service_account: The pod's ServiceAccount; on Databricks the one whose identity the run is submitted with.
        cpu: What main asks for.
        memory: What main asks for and may use at most.
        pod: Further fields of spec.backend.kubernetes.
        experiment_name: The experiment of MLflow.
        run_name: The run's name in MLflow.
        tags: Tags of the run in MLflow.
        tracking_uri: The tracking server, as pods reach it.
        tracking_secret: The name of a Secret with credentials for it.
        data_secret: The name of a Secret with credentials for data.
        environment_secret: The name of a Secret with credentials for channels and indexes.
        cache_claim: The claim of the volume that has the environments.
        cache_policy: use, refresh or disabled.
        queue: A LocalQueue of Kueue.
        priority: A WorkloadPriorityClass of Kueue.
        backoff_limit: How often to try again.
        active_deadline: Seconds that the run may be active.
        pending_deadline: Seconds after which the command must have started.
        ttl: Seconds after the end until the ProjectRun is deleted.
        databricks_host: The workspace's URL. This and the next two ask for a run on Databricks.
        databricks_secret: The name of a Secret with credentials for it; a ServiceAccount's identity without one.
        cluster_spec: What the run gets to run on there, as MLflow has it.
    """

    uri: str | None = None
    project: Mapping[str, Any] = field(default_factory=dict)
    entry_point: str | None = None
    version: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    auth_secret: str | None = None
    env_manager: str | None = None
    image: str | None = None
    service_account: str | None = None
    cpu: str | None = None
    memory: str | None = None
    pod: Mapping[str, Any] = field(default_factory=dict)
    experiment_name: str | None = None
    run_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    tracking_uri: str | None = None
    tracking_secret: str | None = None
    data_secret: str | None = None
    environment_secret: str | None = None
    cache_claim: str | None = None
    cache_policy: str | None = None
    queue: str | None = None
    priority: str | None = None
    backoff_limit: int | None = None
    active_deadline: float | None = None
    pending_deadline: float | None = None
    ttl: float | None = None
    databricks_host: str | None = None
    databricks_secret: str | None = None
    cluster_spec: Mapping[str, Any] | None = None

    @property
    def is_for_databricks(self) -> bool:
        """Whether it asks for a run on Databricks."""
        return bool(self.databricks_host or self.databricks_secret or self.cluster_spec is not None)

    def to_spec(self, *, on_databricks: bool = False) -> dict[str, Any]:
        """The fields of a ProjectRun's spec that are asked for.

        Args:
            on_databricks: Whether it is known from elsewhere that the run is for Databricks.

        Raises:
            UsageError: A value that no field can have.
        """
        requests = _given({"cpu": self.cpu, "memory": self.memory})
        # A pod over its memory request is the first to go when a node runs short; one over its limit is killed alone.
        resources = _given({"requests": requests, "limits": _given({"memory": self.memory})})
        manager = _manager(self.env_manager) or ("Image" if self.image else None)
        if on_databricks or self.is_for_databricks:
            asked = backend_fields(self)
            backend = {"type": "Databricks", "databricks": asked} if asked else {}
        else:
            pod = {"serviceAccountName": self.service_account, "resources": resources, **self.pod}
            backend = _given({"kubernetes": _given(pod)})
        cache = _given({"policy": _policy(self.cache_policy), "volumeClaimName": self.cache_claim})
        tags = [{"name": name, "value": value} for name, value in self.tags.items()]
        return _given(
            {
                "project": _given(
                    {
                        **(self.project or {"uri": _git_uri(self.uri) if self.uri else None}),
                        "version": self.version,
                        "entryPoint": self.entry_point,
                        "authSecretRef": _named(self.auth_secret),
                    }
                ),
                "parameters": [{"name": name, "value": value} for name, value in self.parameters.items()],
                "experiment": _given({"name": self.experiment_name, "runName": self.run_name, "tags": tags}),
                "tracking": _given({"uri": self.tracking_uri, "secretRef": _named(self.tracking_secret)}),
                "data": _given({"secretRef": _named(self.data_secret)}),
                "environment": _given(
                    {
                        "manager": manager,
                        "image": self.image,
                        "cache": cache,
                        "secretRef": _named(self.environment_secret),
                    }
                ),
                "backend": backend,
                "queueName": self.queue,
                "queuePriorityClassName": self.priority,
                "backoffLimit": self.backoff_limit,
                "activeDeadlineSeconds": _seconds(self.active_deadline),
                "pendingDeadlineSeconds": _seconds(self.pending_deadline),
                "ttlSecondsAfterFinished": _seconds(self.ttl),
            }
        )


def project_run(
    request: Request, *, name: str | None = None, generate_name: str | None = None, namespace: str | None = None
) -> dict[str, Any]:
    """The manifest of a new ProjectRun.

    Without a name it gets one made here, of the project, the entry point and five random characters: so it is known
    before the cluster is asked, `kubectl apply` takes the manifest too, and sending it twice makes one run.

    Args:
        request: What is asked for; with a URI.
        name: The object's name.
        generate_name: Let the cluster append to this instead.
        namespace: The object's namespace; left to the connection if None.

    Raises:
        UsageError: A value that no ProjectRun can have; each is named by its field.
    """
    metadata = _given({"name": name, "generateName": generate_name, "namespace": namespace})
    for given in (name, generate_name and generate_name.rstrip("-.")):
        if given and not _NAME.fullmatch(given):
            raise UsageError(
                f"'{given}' cannot be the name of a ProjectRun: use small letters, digits, '-' and '.', with a "
                "letter or a digit at both ends."
            )
    if not name and not generate_name:
        metadata = {"name": _new_name(request), **metadata}
    spec = request.to_spec()
    if request.is_for_databricks:
        refuse_pod_options(request, spec["project"])
        if not request.databricks_secret:
            spec["backend"]["databricks"]["auth"] = "WorkloadIdentity"
    manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
    ProjectRun.parse(manifest)
    return manifest


def with_request(manifest: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """A manifest from a file, with what was asked for beside it. Parameters go by their names.

    Raises:
        UsageError: The manifest is not valid, before or with what was asked for.
    """
    on_databricks = ProjectRun.parse(manifest).spec.backend.databricks is not None or request.is_for_databricks
    asked = request.to_spec(on_databricks=on_databricks)
    spec = _without_compute(manifest["spec"], asked) if on_databricks else dict(manifest["spec"])
    if not {"uri", "bundle"}.isdisjoint(asked.get("project", {})):
        # What lies at another URI has other versions and directories.
        kept = {key: spec["project"][key] for key in ("entryPoint", "submodules", "lfs") if key in spec["project"]}
        spec["project"] = kept
    if parameters := asked.pop("parameters", None):
        given = {parameter["name"] for parameter in parameters}
        before = [parameter for parameter in spec.get("parameters") or () if parameter["name"] not in given]
        spec["parameters"] = [*before, *parameters]
    _add_before(asked, spec, ("experiment", "tags"), key="name")
    for name, key in (("volumes", "name"), ("volumeMounts", "mountPath")):
        _add_before(asked, spec, ("backend", "kubernetes", name), key=key)
    result = {**manifest, "spec": _merged(spec, asked)}
    if on_databricks:
        refuse_pod_options(request, result["spec"]["project"])
    ProjectRun.parse(result)
    return result


def _without_compute(spec: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """A file's spec without what the run would get, if that is asked for otherwise: one replaces the other."""
    there = (spec.get("backend") or {}).get("databricks") or {}
    if set(COMPUTE_FIELDS).isdisjoint(asked.get("backend", {}).get("databricks", {})):
        return dict(spec)
    kept = {key: value for key, value in there.items() if key not in COMPUTE_FIELDS}
    return {**spec, "backend": {**(spec.get("backend") or {}), "databricks": kept}}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something: not None, not empty."""
    return {key: value for key, value in fields.items() if value is not None and value not in ({}, [])}


def _named(name: str | None) -> dict[str, str] | None:
    return {"name": name} if name else None


def _seconds(duration: float | None) -> int | None:
    # The API counts in whole seconds, and a deadline of none would be over at once.
    return None if duration is None else math.ceil(duration)


def _add_before(asked: dict[str, Any], spec: Mapping[str, Any], path: tuple[str, ...], *, key: str) -> None:
    """Put a list of the file's before what is asked for of it; where both name the same thing, the file's counts."""
    place: Any = asked
    before: Any = spec
    for part in path[:-1]:
        place, before = (place or {}).get(part), (before or {}).get(part)
    if place and place.get(path[-1]):
        kept = list((before or {}).get(path[-1]) or ())
        taken = {item[key] for item in kept}
        place[path[-1]] = [*kept, *(item for item in place[path[-1]] if item[key] not in taken)]


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _git_uri(uri: str) -> str:
    text = uri.strip().strip("'\"").strip()
    place = text.partition("#")[0]
    if Path(place).is_dir():
        raise UsageError(
            f"'{uri}' is a directory on this machine, which a cluster cannot see. Submit it packed ('mlp submit'), or "
            "push it to a Git repository and submit that one's URI."
        )
    if Path(place).is_file():
        raise UsageError(
            f"'{place}' is a file, and what is sent to a cluster is a directory. Unpack it, if it is a zip."
        )
    if ":" not in place:
        raise UsageError(
            f"There is no directory '{place}' on this machine. A project in a Git repository is https://HOST/PATH, "
            "ssh://USER@HOST/PATH or USER@HOST:PATH."
        )
    return text


def _manager(name: str | None) -> str | None:
    if name is None:
        return None
    if (manager := _MANAGERS.get(name.lower())) is None:
        raise UsageError(f"There is no environment manager '{name}'. Choose one of: {', '.join(_MANAGERS)}.")
    return manager


def _policy(name: str | None) -> str | None:
    if name is None:
        return None
    if (policy := _POLICIES.get(name.lower())) is None:
        raise UsageError(f"There is no cache policy '{name}'. Choose one of: {', '.join(_POLICIES)}.")
    return policy


def _new_name(request: Request) -> str:
    base, _, subdirectory = (request.uri or "").partition("#")
    if request.project:
        base = str(Path(base).resolve())  # "." is called as the directory is
    words = (project_name(base, subdirectory), request.entry_point or "main")
    return suffixed("-".join(re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words).strip("-") or "run")


def suffixed(stem: str) -> str:
    """A name for a new ProjectRun: a stem, shortened where it must be, and five random characters."""
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(_SUFFIX_LENGTH))
    return f"{stem[: MAX_NAME_LENGTH - _SUFFIX_LENGTH - 1].rstrip('-.')}-{suffix}"
