"""A ProjectRun's run in MLflow, as decisions see it: where it is recorded and what it should say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.resources import Phase

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun

__all__ = ["TrackedRun", "TrackingServer", "Untracked", "server_of", "wanted_state"]

SCHEDULED: Final = "SCHEDULED"
RUNNING: Final = "RUNNING"
FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"
KILLED: Final = "KILLED"


@dataclass(frozen=True, slots=True)
class TrackingServer:
    """Where a run is recorded.

    Attributes:
        uri: The server's address, as pods reach it.
        secret: The name of the Secret with its credentials, in the run's namespace.
        own: Whether the run names the server itself. The operator's own credentials are for the operator's server only.
    """

    uri: str
    secret: str | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run that is there in MLflow.

    Attributes:
        uri: The tracking server.
        experiment_id: Its experiment.
        run_id: Its id.
        state: The state that was last written.
    """

    uri: str
    experiment_id: str
    run_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Untracked:
    """MLflow could not be told.

    Attributes:
        reason: CamelCase, for a condition.
        message: What is wrong, and the way out.
        final: Trying again cannot help: wrong credentials, no such experiment.
        retry_at: When to try again.
        run: The run in MLflow, if it is known.
    """

    reason: str
    message: str
    final: bool
    retry_at: datetime
    run: TrackedRun | None = None


def server_of(run: ProjectRun, default_uri: str | None, default_secret: str | None) -> TrackingServer | None:
    """The tracking server of a run; None if neither it nor the operator's settings name one."""
    tracking = run.spec.tracking
    secret = tracking.secret_ref.name if tracking is not None and tracking.secret_ref is not None else None
    if tracking is not None and tracking.uri is not None and tracking.uri != default_uri:
        return TrackingServer(tracking.uri, secret, own=True)
    return None if default_uri is None else TrackingServer(default_uri, secret or default_secret)


def wanted_state(phase: str | None) -> str:
    """MLflow's word for a run's phase. What has no pod at work is SCHEDULED there, so that nothing looks busy."""
    match phase:
        case Phase.RUNNING:
            return RUNNING
        case Phase.SUCCEEDED:
            return FINISHED
        case Phase.FAILED:
            return FAILED
        case Phase.CANCELLED:
            return KILLED
    return SCHEDULED
