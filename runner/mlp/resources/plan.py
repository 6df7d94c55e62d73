"""What a run's pod has to do, as the operator writes it and the pod's steps read it.

The plan travels as JSON in an annotation of the Job and of its pod template, and reaches the steps as a file through
the downward API. It holds everything that was decided when the run was resolved, so a restarted operator takes up a
Job that it finds without asking Git again, and it holds no secret: credentials are mounted, never planned.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Plan", "PlannedParameter", "PlannedProject", "PlannedSource"]


class _PlanModel(BaseModel):
    # Unknown keys are kept out on reading: a plan of a newer operator may say more than this runner knows.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class PlannedSource(_PlanModel):
    """Where the project comes from, pinned."""

    uri: str
    commit: str
    """40 hexadecimal digits."""
    ref: str | None = None
    """The full name of the ref that the version named, for servers that refuse to serve a bare commit."""
    version: str | None = None
    """What the user wrote: a branch, tag or commit."""
    subdirectory: str = ""
    submodules: bool = True
    protocols: tuple[str, ...] = ("https", "ssh")
    """The transports that Git may use, as the operator's settings allow them."""
    other_hosts: bool = False
    """Whether submodules may come from other hosts than the project, as the operator's settings say."""
    credentials: bool = False
    """Whether a credentials Secret is mounted at names.GIT_CREDENTIALS_DIRECTORY."""


class PlannedParameter(_PlanModel):
    """One parameter as it was resolved."""

    name: str
    type: str
    value: str
    source: Literal["Spec", "Default", "Extra"]


class PlannedProject(_PlanModel):
    """What will be executed."""

    name: str
    entry_point: str
    command: str
    """Given to ``bash -c`` in the project's directory."""
    parameters: tuple[PlannedParameter, ...] = ()
    manager: str = "Local"
    """The environment manager that was chosen."""


class Plan(_PlanModel):
    """The whole plan of one run's pod."""

    source: PlannedSource
    project: PlannedProject

    def to_json(self) -> str:
        """The plan as compact JSON with camelCase keys."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Read a plan.

        Raises:
            pydantic.ValidationError: The text is not a plan.
        """
        return cls.model_validate_json(text)
