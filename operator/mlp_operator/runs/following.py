"""Keeping a run's record in MLflow as true as the run itself: what to write there, and how long to wait for it. Pure.

The tracking server is somebody else's, and may be slow or away. What it has to be told is derived from what the run is,
each time anew, so it does not matter how often it could not be told: a status waits a few seconds for the server, goes
on without it, says so in the condition ``Tracked``, and is made good when the server is back, also after the run's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import ConditionType, Phase
from mlp_operator.runs.actions import BeginTracking, Wanted, WriteTracking
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.pods import main_started, told_to_end
from mlp_operator.runs.recording import TrackedRun, TrackingServer, Untracked

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun
    from mlp.resources.plan import Plan
    from mlp_operator.runs.actions import Action, Recording
    from mlp_operator.runs.pods import Situation

__all__ = [
    "Following",
    "Record",
    "follow",
    "known_run",
    "of_pod",
    "reason_tags",
    "reason_tags_of",
    "unrecorded",
]

_TERMINAL: Final = {"FINISHED", "FAILED", "KILLED"}


@dataclass(frozen=True, slots=True)
class Record:
    """How a run stands in MLflow, for its status.

    Attributes:
        run: The run there, if it is known.
        settled: Whether it says what this run does.
        trouble: Why not.
    """

    run: TrackedRun | None = None
    settled: bool = False
    trouble: Untracked | None = None


@dataclass(frozen=True, slots=True)
class Following:
    """What to do about MLflow.

    Attributes:
        record: How it stands; None for a run that is recorded nowhere.
        action: To be done first.
        hold: Seconds that a status may still wait for the server.
        again: Seconds after which to try again.
    """

    record: Record | None = None
    action: Action | None = None
    hold: float | None = None
    again: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more can be done: MLflow knows it, or will never take it."""
        record = self.record
        return record is None or record.settled or (record.trouble is not None and record.trouble.final)


def of_pod(pod: dict[str, Any] | None) -> dict[str, datetime | None]:
    """What a pod adds to what is wanted: when its command began, and was told to end."""
    return {} if pod is None else {"since": main_started(pod), "told_to_end": told_to_end(pod)}


def known_run(run: ProjectRun, recording: Recording | None) -> TrackedRun | None:
    """The run in MLflow: what was last heard of it, else what the status keeps."""
    if isinstance(recording, TrackedRun):
        return recording
    if isinstance(recording, Untracked) and recording.run is not None:
        return recording.run
    kept = run.status.mlflow
    if kept is None or kept.run_id is None or kept.uri is None:
        return None
    return TrackedRun(kept.uri, kept.experiment_id or "", kept.run_id, kept.state or "")


def follow(
    run: ProjectRun,
    recording: Recording | None,
    server: TrackingServer | None,
    wanted: Wanted,
    *,
    plan: Plan | None,
    now: datetime,
    patience: float,
    image: str | None = None,
) -> Following:
    """Say what has to happen so that MLflow says what the run is.

    Args:
        run: The run.
        recording: What is known about its record.
        server: Where it is recorded; None is nowhere.
        wanted: What should stand there.
        plan: What runs; None if that is not known, and then no record is begun.
        now: The present moment.
        patience: Seconds that a status may wait for the server.
        image: The image of main, if it is known.
    """
    if server is None:
        return Following()
    known = known_run(run, recording)
    if known is not None and known.uri != server.uri:
        # The operator's own server has changed since; what was begun there is to end there.
        server = TrackingServer(known.uri, server.secret, own=True)
    if isinstance(recording, Working):
        left = patience - (now - recording.since).total_seconds()
        return Following(Record(known), hold=left if left > 0 else None)
    if known is not None and _says(known, wanted.state):
        return Following(Record(known, settled=True))
    if isinstance(recording, Untracked):
        again = (recording.retry_at - now).total_seconds()
        if recording.final or again > 0:
            return Following(Record(known, trouble=recording), again=None if recording.final else again)
    if known is not None:
        return Following(Record(known), action=WriteTracking(server, known, wanted))
    if plan is None:
        return Following()
    return Following(Record(), action=BeginTracking(server, plan, image))


def _says(known: TrackedRun, wanted: str) -> bool:
    """Whether MLflow has this state; of terminal ones, whichever the project's own code has chosen."""
    return known.state == wanted or {known.state, wanted} <= _TERMINAL


def reason_tags(situation: Situation) -> dict[str, str]:
    """Why a run ended as it did, for those who look at it in MLflow. A message's further lines are its log."""
    if situation.phase not in (Phase.FAILED, Phase.CANCELLED):
        return {}
    return {"mlp.reason": str(situation.reason), "mlp.message": situation.message.partition("\n")[0]}


def reason_tags_of(run: ProjectRun) -> dict[str, str]:
    """The same of a run that has ended."""
    outcome = run.status.condition(ConditionType.SUCCEEDED)
    if outcome is None or outcome.status != "False":
        return {}
    return {"mlp.reason": outcome.reason, "mlp.message": outcome.message.partition("\n")[0]}


def unrecorded(run: ProjectRun) -> bool:
    """Whether a run that has ended still has to be made good in MLflow."""
    tracked = run.status.condition(ConditionType.TRACKED)
    return tracked is not None and tracked.status != "True"
