"""What a decision is made from, and what it is made of. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlp.resources import ProjectRunStatus
    from mlp_operator.runs.job import PodDefaults
    from mlp_operator.runs.outcome import Outcome

__all__ = [
    "Action",
    "CreateJob",
    "Decision",
    "DeleteJob",
    "DeletePods",
    "DeleteRun",
    "Observed",
    "Refusal",
    "Resolve",
    "Rules",
    "SuspendJob",
]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator's settings say about decisions.

    Attributes:
        defaults: About every pod.
        progress_delay: Seconds after which a slow stage is worth a write.
    """

    defaults: PodDefaults
    progress_delay: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server does not take the run's Job.

    Attributes:
        final: The Job itself is wrong; sending it again cannot help.
        message: The API server's words.
    """

    final: bool
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What was found in the cluster, and out about the project.

    Attributes:
        job: The run's own Job.
        pods: The pods of the run, oldest first.
        outcome: How the look-up of the project stands; None if nobody has asked.
        foreign_job: A Job of the run's name that belongs to something else.
        refusal: Why the Job was not taken.
        pod_refusal: Why the Job's pod was not taken, asked for where it has been missing for a while.
    """

    job: Object | None = None
    pods: tuple[Object, ...] = ()
    outcome: Outcome | None = None
    foreign_job: Object | None = None
    refusal: Refusal | None = None
    pod_refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """Begin to find out what the run is to execute."""


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create this Job."""

    body: Object


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete this Job and its pods."""

    job: Object


@dataclass(frozen=True, slots=True)
class DeletePods:
    """Give these pods a second to end."""

    pods: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class SuspendJob:
    """Hold the Job, or let it go on."""

    suspend: bool


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete the ProjectRun itself."""


Action = Resolve | CreateJob | DeleteJob | DeletePods | SuspendJob | DeleteRun


@dataclass(frozen=True, slots=True)
class Decision:
    """What one pass over a run asks for.

    Attributes:
        actions: To be done first, in order.
        status: To be written; None leaves it as it is.
        again_after: Seconds after which to look again even if nothing happens.
    """

    actions: tuple[Action, ...] = field(default=())
    status: ProjectRunStatus | None = None
    again_after: float | None = None
