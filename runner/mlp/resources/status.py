"""What the operator reports in a ProjectRun's ``status``.

Conditions are the truth (mlp.resources.conditions has their words); everything else is detail for people and tools.
The models are immutable, so that a status can be compared with the one before it: ``model_copy(update=…)`` makes the
next. Unknown keys of a newer operator are passed over in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mlp.resources.model import Int32, Int64, KeyedBy, StatusModel, Time, bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Condition",
    "DatabricksStatus",
    "EnvironmentStatus",
    "KubernetesStatus",
    "MlflowStatus",
    "ParameterStatus",
    "ProjectRunStatus",
    "ProjectStatus",
    "SourceStatus",
    "StepStatus",
]

LONGEST_COMMAND = 131072
"""Linux refuses a single argument of more bytes than this (MAX_ARG_STRLEN), and the command is one argument of bash."""


class Condition(StatusModel):
    """One aspect of the run's state, as metav1.Condition."""

    type: Annotated[str, bounded(316, shortest=1)]
    """The aspect: Succeeded, Ready, Reconciling, Stalled, Resolved, Submitted, Admitted, Initialized or Suspended."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds: True, False or Unknown."""
    reason: Annotated[str, bounded(1024, shortest=1, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one word for programs."""
    message: Annotated[str, bounded(32768)] = ""
    """Why, in a sentence for people."""
    last_transition_time: Time
    """When status last changed."""
    observed_generation: Int64 | None = None
    """The metadata.generation that the condition is about."""


class ParameterStatus(StatusModel):
    """One parameter as it was resolved."""

    name: Annotated[str, bounded(253)]
    """The parameter's name."""
    type: Annotated[str, bounded(64)] | None = None
    """The type that the project declares; string if it declares none."""
    value: Annotated[str, bounded(65536)] | None = None
    """The value that the command gets; unset for a value that comes from a Secret."""
    source: Literal["Spec", "Default", "Extra"]
    """Where the value comes from: the spec, the project's default, or the spec without the project declaring it."""


class EnvironmentStatus(StatusModel):
    """The environment that was chosen."""

    manager: Annotated[str, bounded(64)]
    """The manager: the one of the spec, or what Auto came to."""


class ProjectStatus(StatusModel):
    """What was found in the project, and what will be executed."""

    name: Annotated[str, bounded(1024)]
    """The project's name."""
    entry_point: Annotated[str, bounded(1024)]
    """The entry point."""
    command: Annotated[str, bounded(LONGEST_COMMAND)]
    """The command, as bash gets it. Values from Secrets stand in it as references to variables."""
    parameters: Annotated[tuple[ParameterStatus, ...], Field(max_length=512), KeyedBy("name")] | None = None
    """Every parameter with its value."""
    environment: EnvironmentStatus | None = None
    """The environment that was chosen."""


class SourceStatus(StatusModel):
    """The code that runs."""

    commit: Annotated[str, bounded(40, pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit that spec.project.version was resolved to, once and for all attempts: 40 hexadecimal digits."""
    version: Annotated[str, bounded(256)] | None = None
    """The version as the spec has it."""
    subdirectory: Annotated[str, bounded(2048)] | None = None
    """The project's directory inside the repository or the bundle."""
    sha256: Annotated[str, bounded(64, pattern=r"^[0-9a-f]{64}$")] | None = None
    """The SHA-256 digest of the bundle, where the code came as one."""


class KubernetesStatus(StatusModel):
    """The Job and the pod of the current attempt."""

    job_name: Annotated[str, bounded(253)] | None = None
    """The Job's name."""
    job_uid: Annotated[str, bounded(64)] | None = None
    """The Job's uid."""
    pod_name: Annotated[str, bounded(253)] | None = None
    """The newest pod's name."""
    node_name: Annotated[str, bounded(253)] | None = None
    """The node that the pod is on."""
    exit_code: Int32 | None = None
    """The exit status of the container that decided the outcome; 128 + n if signal n ended it."""


class DatabricksStatus(StatusModel):
    """The run on Databricks."""

    token: Annotated[str, bounded(64)] | None = None
    """The idempotency token of the attempt, written before the run is submitted."""
    attempt: Int32 | None = None
    """The number of the submission that the token belongs to. A run that was held and let go is submitted anew, which
    is no attempt in the sense of backoffLimit."""
    run_id: Annotated[str, bounded(64)] | None = None
    """The run's id; a string, for it can have more digits than JSON's numbers are safe for."""
    run_page_url: Annotated[str, bounded(2048)] | None = None
    """The run's page in the workspace."""
    state: Annotated[str, bounded(256)] | None = None
    """The run's state as Databricks reports it."""
    status_check_failure_time: Time | None = None
    """Since when the state could not be read."""
    cancel_reason: Annotated[str, bounded(63)] | None = None
    """Why the operator has asked Databricks to cancel the run, written before it asks; the word of a condition."""
    log_config_map_name: Annotated[str, bounded(253)] | None = None
    """The ConfigMap with what the run wrote, made at its end."""


class MlflowStatus(StatusModel):
    """The run in MLflow."""

    run_id: Annotated[str, bounded(256)] | None = None
    """The MLflow run's id."""
    experiment_id: Annotated[str, bounded(256)] | None = None
    """The experiment's id."""
    uri: Annotated[str, bounded(2048)] | None = None
    """The tracking server's address."""
    state: Annotated[str, bounded(63)] | None = None
    """The state that was last written there: SCHEDULED, RUNNING, FINISHED, FAILED or KILLED."""


class StepStatus(StatusModel):
    """One step of the current attempt."""

    name: Annotated[str, bounded(63)]
    """The step: clone, data, environment or main."""
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"]
    """How far it has come."""
    reason: Annotated[str, bounded(1024)] | None = None
    """Why it is in that state, in one word."""
    start_time: Time | None = None
    """When it started."""
    completion_time: Time | None = None
    """When it ended."""


class ProjectRunStatus(StatusModel):
    """What has become of the run. Written by the operator alone."""

    observed_generation: Annotated[int, Field(ge=-1, le=2**53, json_schema_extra={"format": "int64"})] | None = None
    """The metadata.generation that the operator has acted on; -1 before it has seen the run."""
    phase: Annotated[str, bounded(63)] | None = None
    """The state in one word, derived from the conditions for people: Pending, Resolving, Queued, Suspended, Preparing,
    Running, Succeeded, Failed or Cancelled. More may come; programs read the conditions."""
    start_time: Time | None = None
    """When the run started: its first pod, or its run on Databricks."""
    completion_time: Time | None = None
    """When the run ended, well or not."""
    attempts: Int32 | None = None
    """How many attempts were started."""
    source: SourceStatus | None = None
    """The code that runs."""
    project: ProjectStatus | None = None
    """What was found in the project, and what will be executed."""
    kubernetes: KubernetesStatus | None = None
    """The Job and the pod of the current attempt."""
    databricks: DatabricksStatus | None = None
    """The run on Databricks."""
    mlflow: MlflowStatus | None = None
    """The run in MLflow."""
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=16), KeyedBy("name")] | None = None
    """The steps of the current attempt, in order."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32), KeyedBy("type")] | None = None
    """The run's state, one aspect each."""

    def condition(self, type: str) -> Condition | None:  # noqa: A002 -- the field's own name
        """The condition of a type, if there is one."""
        return next((condition for condition in self.conditions or () if condition.type == type), None)

    @property
    def conditions_by_type(self) -> Mapping[str, Condition]:
        """All conditions by their type."""
        return {condition.type: condition for condition in self.conditions or ()}
