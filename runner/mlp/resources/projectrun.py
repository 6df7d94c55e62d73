"""The resource ProjectRun: one execution of one entry point of a project.

Puts spec, status and metadata together and reads objects as the API server, a file or a command line gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from mlp.errors import UsageError
from mlp.resources.conditions import ConditionType
from mlp.resources.mistakes import Mistake, explain, mistakes
from mlp.resources.model import Rule, SpecModel, Time
from mlp.resources.names import MAX_NAME_LENGTH
from mlp.resources.spec import ProjectRunSpec
from mlp.resources.status import ProjectRunStatus

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["ObjectMeta", "ProjectRun"]

_NOT_YET_ADMITTED = (
    "!has(oldSelf.status) || !has(oldSelf.status.conditions) || "
    f"!oldSelf.status.conditions.exists(c, c.type == '{ConditionType.SUBMITTED}' && c.status == 'True') || "
    f"oldSelf.status.conditions.exists(c, c.type == '{ConditionType.ADMITTED}' && c.status == 'False')"
)


class ObjectMeta(SpecModel):
    """The part of metav1.ObjectMeta that mlp reads."""

    # The API server adds more than stands here (managedFields, ownerReferences): none of it is ours to refuse.
    model_config = ConfigDict(extra="ignore")

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()


class ProjectRun(SpecModel):
    """One execution of one entry point of an MLflow Project."""

    # The literals of names.API_VERSION and names.KIND: a type can only be made of literals.
    api_version: Literal["mlp.dev/v1alpha1"] = "mlp.dev/v1alpha1"
    kind: Literal["ProjectRun"] = "ProjectRun"
    metadata: ObjectMeta
    spec: ProjectRunSpec
    """What to execute, with what, where. It cannot change, apart from suspend, shutdown, ttlSecondsAfterFinished and
    retention, and queueName until the run is admitted: a changed run is a new ProjectRun."""
    status: Annotated[
        ProjectRunStatus, Field(json_schema_extra={"default": {"observedGeneration": -1, "phase": "Pending"}})
    ] = (
        # Without this default kstatus would call an object that no operator has seen finished, and people see no phase.
        ProjectRunStatus(observed_generation=-1, phase="Pending")
    )
    """What has become of the run. Written by the operator alone."""

    rules = (
        Rule(
            f"size(self.metadata.name) <= {MAX_NAME_LENGTH}",
            f"the name may have {MAX_NAME_LENGTH} characters at most, for its Job and pods are named after it",
            lambda run: len(run.metadata.name) <= MAX_NAME_LENGTH,
        ),
        Rule(
            "(has(self.spec.queueName) == has(oldSelf.spec.queueName) && "
            f"(!has(self.spec.queueName) || self.spec.queueName == oldSelf.spec.queueName)) || {_NOT_YET_ADMITTED}",
            "queueName can change only until the run is admitted; for another queue, create a new ProjectRun",
            None,
            forbids=True,
        ),
    )

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> ProjectRun:
        """Read an object as the API server or a manifest has it.

        Raises:
            UsageError: It is not a ProjectRun, or breaks the schema or a rule; the message names each field.
        """
        try:
            return cls.model_validate(obj, by_alias=True, by_name=False)
        except ValidationError as error:
            raise UsageError(explain(error, cls)) from None

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> ProjectRun:
        """Read an object that an API server has stored: one that a newer CRD let pass may say more than we know.

        To show, follow or end such a run takes no knowledge of all its fields. What acts on a spec, or checks one that
        a user has written, parses it.

        Raises:
            UsageError: It is not a ProjectRun, or a field that we know has a value that we do not.
        """
        try:
            return cls.model_validate(obj, by_alias=True, by_name=False, extra="ignore")
        except ValidationError as error:
            name = (obj.get("metadata") or {}).get("name", "")
            raise UsageError(
                f"ProjectRun '{name}' cannot be read by this version of mlp, which may be older than the cluster's:\n"
                f"{explain(error, cls)}"
            ) from None

    @classmethod
    def mistakes(cls, obj: Mapping[str, Any]) -> tuple[Mistake, ...]:
        """Everything for which `parse` refuses an object; nothing if it does not."""
        try:
            cls.model_validate(obj, by_alias=True, by_name=False)
        except ValidationError as error:
            return mistakes(error, cls)
        return ()

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        """The object's uid."""
        return self.metadata.uid

    @property
    def finished(self) -> bool:
        """Whether the run has ended, well or not."""
        succeeded = self.status.condition(ConditionType.SUCCEEDED)
        return succeeded is not None and succeeded.status != "Unknown"

    @property
    def being_deleted(self) -> bool:
        """Whether someone has asked for the object's deletion."""
        return self.metadata.deletion_timestamp is not None

    @property
    def created(self) -> datetime | None:
        """When the object was created."""
        return self.metadata.creation_timestamp
