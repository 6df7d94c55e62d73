"""What a decision is made from, and what it is made of. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.backends.databricks.states import RunState
    from mlp.backends.databricks.task import RemoteTask
    from mlp.resources import ProjectRunStatus
    from mlp.resources.plan import Plan
    from mlp_operator.runs.job import PodDefaults
    from mlp_operator.runs.outcome import Outcome, Refused, Unavailable, Working
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.runs.pods import Situation
    from mlp_operator.runs.recording import TrackedRun, TrackingServer, Untracked

    Recording: TypeAlias = Working | TrackedRun | Untracked
    """What is known about a run's record in MLflow."""

__all__ = [
    "Action",
    "BeginTracking",
    "CancelRemote",
    "CreateJob",
    "Decision",
    "DeleteJob",
    "DeletePods",
    "DeleteRun",
    "FetchOutput",
    "FindRemote",
    "HoldRun",
    "LetRunGo",
    "Observed",
    "Refusal",
    "ReleasePods",
    "Remote",
    "RemoteOutput",
    "Requeue",
    "Resolve",
    "Rules",
    "SubmitRemote",
    "SuspendJob",
    "Wanted",
    "WriteTracking",
]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator's settings say about decisions.

    Attributes:
        defaults: About every pod.
        progress_delay: Seconds after which a slow stage is worth a write.
        tracking_patience: Seconds that a report of a run may wait for the tracking server.
        beginning_patience: Seconds that its Job may: longer than the server is asked for. A command that starts without
            an MLflow run of its own would begin another.
        tracking_limit: Seconds after which nothing is held back for the sake of the tracking server.
        remote_limit: Seconds after which nothing is held back for a Databricks workspace that says nothing.
    """

    defaults: PodDefaults
    progress_delay: float
    tracking_patience: float = 5.0
    beginning_patience: float = 15.0
    tracking_limit: float = 600.0
    remote_limit: float = 1800.0


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
class RemoteOutput:
    """What a run on Databricks left behind at its end.

    Attributes:
        log: The end of what its command wrote.
        error: What Databricks calls the error; None where there is none.
        config_map: The ConfigMap that holds it; None where it could not be kept, or there was nothing.
    """

    log: str = ""
    error: str | None = None
    config_map: str | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """What is known of one submission to Databricks.

    Attributes:
        token: Its idempotency token.
        run_id: The run's id there, once known.
        submission: How handing it over stands; None if nobody has tried.
        state: What was last heard of it.
        gone: Whether Databricks does not know the run (any more).
        unreadable_since: Since when its state could not be read; None while it can.
        trouble: Why the last question had no answer: its state could not be read, or it could not be cancelled.
        cancelled_at: When Databricks took the request to cancel it.
        output: What it left behind, once that was asked for; None before.
        asking: Whether its output is being asked for, or it is just being cancelled.
        unsent: Whether it is certain that nobody has submitted it yet, neither this process nor one before.
    """

    token: str
    run_id: str | None = None
    submission: Working | Unavailable | Refused | None = None
    state: RunState | None = None
    gone: bool = False
    unreadable_since: datetime | None = None
    trouble: str = ""
    cancelled_at: datetime | None = None
    output: RemoteOutput | None = None
    asking: bool = False
    unsent: bool = False


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
        hindrance: What keeps the newest pod from its start, asked for where it has waited for a while.
        recording: How the run stands in MLflow; None if nobody has asked.
        remote: How the newest submission to Databricks stands; None if this process has not dealt with any.
    """

    job: Object | None = None
    pods: tuple[Object, ...] = ()
    outcome: Outcome | None = None
    foreign_job: Object | None = None
    refusal: Refusal | None = None
    pod_refusal: str | None = None
    hindrance: Situation | None = None
    recording: Recording | None = None
    remote: Remote | None = None


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
class Requeue:
    """Move the Job, which has not been admitted yet, to another queue."""

    queue: str | None


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete the ProjectRun itself."""


@dataclass(frozen=True, slots=True)
class BeginTracking:
    """Find the run in MLflow, or make it.

    Attributes:
        server: Where.
        plan: What runs.
        image: The image of main.
    """

    server: TrackingServer
    plan: Plan
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What MLflow should say of a run.

    Attributes:
        state: MLflow's word.
        tags: To be set beside it.
        ended: When the run ended, if it did.
        since: When its command was started: a state of before is not the verdict of its own code.
        told_to_end: When the command was told to end: a state that was set later is no verdict, but its answer.
    """

    state: str
    tags: dict[str, str] = field(default_factory=dict)
    ended: datetime | None = None
    since: datetime | None = None
    told_to_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class WriteTracking:
    """Make this run in MLflow say that."""

    server: TrackingServer
    run: TrackedRun
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class ReleasePods:
    """Let these pods go: MLflow knows how they ended, or somebody else keeps it in mind."""

    pods: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class HoldRun:
    """Put our finalizer on the ProjectRun: what is on Databricks does not go with it by itself."""


@dataclass(frozen=True, slots=True)
class LetRunGo:
    """Take our finalizer off the ProjectRun.

    Attributes:
        abandoned: What may still be on Databricks, and what is to be done about it; None if nothing is.
    """

    abandoned: str | None = None


@dataclass(frozen=True, slots=True)
class SubmitRemote:
    """Hand a run over to Databricks, or find the one that has its token.

    Attributes:
        task: What is handed over.
        resolved: Where its project comes from.
    """

    task: RemoteTask
    resolved: Resolved


@dataclass(frozen=True, slots=True)
class FindRemote:
    """Find out which run has a token, whose submission may or may not have arrived, so that it can be cancelled.

    Attributes:
        token: The token.
    """

    token: str


@dataclass(frozen=True, slots=True)
class CancelRemote:
    """Ask Databricks to cancel a run. It has ended when its state says so, not before.

    Attributes:
        run_id: The run's id there.
    """

    run_id: str


@dataclass(frozen=True, slots=True)
class FetchOutput:
    """Bring what a run has left behind, and keep it where `mlp logs` finds it.

    Attributes:
        token: The token of the submission.
        state: How it ended.
    """

    token: str
    state: RunState


Action = (
    Resolve
    | CreateJob
    | DeleteJob
    | DeletePods
    | SuspendJob
    | Requeue
    | DeleteRun
    | BeginTracking
    | WriteTracking
    | ReleasePods
    | HoldRun
    | LetRunGo
    | SubmitRemote
    | FindRemote
    | CancelRemote
    | FetchOutput
)


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
