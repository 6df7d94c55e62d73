"""What a user asks for in a ProjectRun: the whole of its ``spec``.

A run is one execution, so its spec says what to execute and cannot change afterwards, apart from the few fields that
steer a run under way. Unset means "not asked for"; a default stands in the schema wherever there is one, so that
``kubectl get -o yaml`` shows it. This module knows the shape and the rules, not what any field does.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mlp.resources.databricks import DatabricksBackend
from mlp.resources.databricks_rules import DATABRICKS_RULES
from mlp.resources.model import Flag, Int32, KeyedBy, Rule, Seconds, SpecModel, bounded, exactly_one
from mlp.resources.pod import KubernetesBackend, LocalObjectReference, Name
from mlp.resources.source import ProjectSource, cel_literal, matches, no_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

__all__ = [
    "Backend",
    "DataAccess",
    "Environment",
    "EnvironmentCache",
    "Experiment",
    "KeySelector",
    "Parameter",
    "ParameterSource",
    "ProjectRunSpec",
    "Retention",
    "Tag",
    "Tracking",
]

_TRACKING_URI = "^(https?://[^\\s]+|databricks(-uc)?(://[^\\s]*)?)$"


class KeySelector(SpecModel):
    """One key of a Secret or a ConfigMap in the namespace of the ProjectRun."""

    name: Name
    """The object's name."""
    key: Annotated[str, bounded(253, shortest=1)]
    """The key whose value is meant."""


class ParameterSource(SpecModel):
    """Where a parameter's value comes from: exactly one of the fields."""

    secret_key_ref: KeySelector | None = None
    """A key of a Secret. The value reaches the command alone: no status, event, log or tracking server."""
    config_map_key_ref: KeySelector | None = None
    """A key of a ConfigMap."""

    rules = (exactly_one("secret_key_ref", "config_map_key_ref"),)


class Parameter(SpecModel):
    """One parameter of the entry point."""

    name: Annotated[str, bounded(253, shortest=1, pattern=r"^[^=]+$")]
    """The parameter's name. One that the entry point does not declare is appended to the command as --name value."""
    value: Annotated[str, bounded(65536)] | None = None
    """The value, always a string (write "0.5", not 0.5). The operator checks the type that the project declares."""
    value_from: ParameterSource | None = None
    """Where the value comes from, instead of value."""

    rules = (exactly_one("value", "value_from"),)


class Tag(SpecModel):
    """A tag of the MLflow run."""

    name: Annotated[str, bounded(250, shortest=1)]
    """The tag's name."""
    value: Annotated[str, bounded(5000)]
    """The tag's value."""


class Experiment(SpecModel):
    """Where the run is recorded in MLflow."""

    name: Annotated[str, bounded(250, shortest=1)] | None = None
    """The experiment's name; it is made if there is none. The tracking server's default experiment if unset."""
    run_name: Annotated[str, bounded(250, shortest=1)] | None = None
    """The MLflow run's name; the ProjectRun's own if unset."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=64), KeyedBy("name")] | None = None
    """Tags set on the MLflow run."""


class Tracking(SpecModel):
    """The MLflow tracking server."""

    uri: Annotated[str, bounded(2048)] | None = None
    """Its address, as pods reach it; the operator's default if unset."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."""

    rules = (
        no_credentials("uri", "credentials must not stand in the uri; name a Secret in spec.tracking.secretRef"),
        Rule(
            f"!has(self.uri) || self.uri.matches({cel_literal(_TRACKING_URI)})",
            "the tracking uri must be http(s)://HOST or databricks: a pod cannot see the files of another machine",
            lambda tracking: tracking.uri is None or matches(_TRACKING_URI, tracking.uri),
            field="uri",
            forbids=True,
        ),
    )


class DataAccess(SpecModel):
    """How parameters of type path are downloaded."""

    secret_ref: LocalObjectReference | None = None
    """A Secret whose keys are the environment of the download step: AWS_*, DATABRICKS_*. Main never sees them."""


class EnvironmentCache(SpecModel):
    """What happens to environments that have been built before."""

    policy: Literal["Use", "Refresh", "Disabled"] = "Use"
    """Use: take a matching environment from the cache, build it if there is none. Refresh: build it anew. Disabled:
    build it for this run alone."""
    volume_claim_name: Name | None = None
    """The PersistentVolumeClaim that holds the cache; without one environments live as long as the pod."""


class Environment(SpecModel):
    """What the command runs in."""

    manager: Literal["Auto", "Conda", "Virtualenv", "Local", "Image"] = "Auto"
    """Auto: what the project says. Conda, Virtualenv: build that kind of environment. Local: run in the image as it is
    (`--no-conda`). Image: as Local, in the project's docker_env image."""
    image: Annotated[str, bounded(512, shortest=1)] | None = None
    """The image of container "main" for Local and Image. If unset: the project's docker_env image, else the operator's
    default."""
    cache: EnvironmentCache | None = None
    """What happens to environments that have been built before."""
    secret_ref: LocalObjectReference | None = None
    """A Secret whose keys are the environment of the building step: credentials for channels and package indexes. Main
    never sees them."""


class Backend(SpecModel):
    """Where the run takes place."""

    type: Literal["Kubernetes", "Databricks"] = "Kubernetes"
    """Kubernetes: a Job in the namespace of the ProjectRun. Databricks: a run of the Jobs API."""
    kubernetes: KubernetesBackend | None = None
    """How the run's pod is made; for type Kubernetes."""
    databricks: DatabricksBackend | None = None
    """Where and how the run is submitted; for type Databricks."""

    rules = (
        Rule(
            "(self.type == 'Databricks') == has(self.databricks)",
            "type Databricks and the field databricks go together",
            lambda backend: (backend.type == "Databricks") == (backend.databricks is not None),
        ),
        Rule(
            "self.type == 'Kubernetes' || !has(self.kubernetes)",
            "the field kubernetes goes with type Kubernetes",
            lambda backend: backend.type == "Kubernetes" or backend.kubernetes is None,
            field="kubernetes",
        ),
    )


class Retention(SpecModel):
    """How long the Job and its pods stay after the run; the ProjectRun itself stays."""

    job_seconds_after_success: Seconds | None = None
    """Seconds after which the Job of a run that succeeded is deleted; as long as the ProjectRun if unset."""
    job_seconds_after_failure: Seconds | None = None
    """Seconds after which the Job of a run that failed is deleted; as long as the ProjectRun if unset."""


def _immutable(field: str, info: FieldInfo) -> Rule:
    name = info.alias or field
    same = f"self.{name} == oldSelf.{name}"
    if not info.is_required() and info.default is None:
        same = f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {same})"
    return Rule(
        same, f"{name} cannot change, for a run is one execution; create a new ProjectRun", None, name, forbids=True
    )


class ProjectRunSpec(SpecModel):
    """What to execute, with what, where."""

    project: ProjectSource
    """The project and the part of it that runs."""
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=256), KeyedBy("name")] | None = None
    """The entry point's parameters. The defaults of the project stand for those that are not named."""
    experiment: Experiment | None = None
    """Where the run is recorded in MLflow."""
    tracking: Tracking | None = None
    """The MLflow tracking server; the operator's default if unset."""
    data: DataAccess | None = None
    """How parameters of type path are downloaded."""
    environment: Environment = Environment()
    """What the command runs in."""
    backend: Backend = Backend()
    """Where the run takes place."""
    queue_name: Annotated[str, bounded(63, shortest=1)] | None = None
    """The Kueue LocalQueue that the run waits in. It can change until the run is admitted."""
    queue_priority_class_name: Annotated[str, bounded(63, shortest=1)] | None = None
    """The Kueue WorkloadPriorityClass that the run waits with."""
    suspend: Flag = False
    """Whether the run is held: no pod runs while this is true. It can change at any time."""
    shutdown: Literal["Stop", "Terminate"] | None = None
    """End the run for good. Stop: the command gets SIGTERM and its grace period. Terminate: at once. It can be set at
    any time, and then only be raised from Stop to Terminate."""
    backoff_limit: Int32 = 0
    """How often the run is tried again after its command, or what prepares it, has failed. What the cluster itself
    ends, such as an evicted pod, is tried again and not counted; a mistake of the user is never tried again."""
    active_deadline_seconds: Seconds | None = None
    """How long the run may be active; no limit if unset. The time starts anew when a suspended run goes on."""
    pending_deadline_seconds: Seconds | None = None
    """How long after its creation, or after a held run was let go, the command must have started; no limit if unset."""
    ttl_seconds_after_finished: Seconds | None = None
    """Delete the ProjectRun itself this long after its end; it stays if unset. Leave it unset where Git owns the
    object. It can change at any time."""
    retention: Retention | None = None
    """How long the Job and its pods stay after the run. It can change at any time."""
    managed_by: Annotated[str, bounded(253, shortest=1)] | None = None
    """Who acts on this run, as DOMAIN/NAME; mlp's operator if unset. A run that another manages is not touched."""

    mutable: ClassVar[frozenset[str]] = frozenset(
        {"suspend", "shutdown", "ttl_seconds_after_finished", "retention", "queue_name"}
    )
    """The fields that can change after creation. (Until when the queue can depends on the status: see ProjectRun.)"""

    rules = (
        Rule(
            "!has(oldSelf.shutdown) || (has(self.shutdown) && (self.shutdown == oldSelf.shutdown || "
            "self.shutdown == 'Terminate'))",
            "shutdown can only be raised from Stop to Terminate; to run again, create a new ProjectRun",
            None,
            field="shutdown",
            forbids=True,
        ),
        *DATABRICKS_RULES,
    )

    @classmethod
    def all_rules(cls) -> Iterable[Rule]:
        """Every rule that the CRD holds for the spec, those of its immutability among them."""
        unchanging = [(name, info) for name, info in cls.model_fields.items() if name not in cls.mutable]
        return (*cls.rules, *itertools.starmap(_immutable, unchanging))
