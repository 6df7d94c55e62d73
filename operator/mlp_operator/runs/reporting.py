"""How what is known of a run becomes its status: MLflow first; what says nothing new is not written. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlp_operator.runs import status as status_of
from mlp_operator.runs.actions import Decision, Observed, Rules, Wanted
from mlp_operator.runs.following import Following, follow, of_pod, reason_tags
from mlp_operator.runs.recording import TrackingServer, server_of, wanted_state

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun, ProjectRunStatus
    from mlp.resources.plan import Plan
    from mlp_operator.runs.situation import Reading, Situation

__all__ = ["follow_up", "if_changed", "say", "server", "sooner"]


def say(
    run: ProjectRun,
    situation: Situation,
    observed: Observed,
    now: datetime,
    rules: Rules,
    *,
    plan: Plan | None = None,
    job_given_up: bool = False,
) -> Decision:
    """Report a situation without a Job; what MLflow knows of the run is told first."""
    recorded = follow_up(run, situation, observed, now, rules)
    if recorded.action is not None:
        return Decision(actions=(recorded.action,))
    if recorded.hold is not None:
        return Decision(again_after=recorded.hold)
    record = recorded.record
    if record is not None and record.run is None and observed.recording is None:
        record = None  # nobody has begun to record it
    wanted = status_of.before_job(
        run.status,
        situation,
        generation=run.metadata.generation,
        now=now,
        plan=plan,
        record=record,
        job_given_up=job_given_up,
    )
    return Decision(status=if_changed(run, wanted), again_after=recorded.again)


def follow_up(
    run: ProjectRun,
    situation: Situation,
    observed: Observed,
    now: datetime,
    rules: Rules,
    *,
    plan: Plan | None = None,
    reading: Reading | None = None,
    image: str | None = None,
) -> Following:
    """What has to happen so that MLflow knows of a situation.

    Args:
        run: The run.
        situation: What it is in.
        observed: What is there.
        now: The present moment.
        rules: The operator's settings.
        plan: What runs, where the record may be begun.
        reading: What Job and pods say.
        image: The image of main, where its Job is about to be made.
    """
    pod, ended = (reading.pod, reading.completed) if reading is not None else (None, None)
    return follow(
        run,
        observed.recording,
        server(run, rules),
        Wanted(
            wanted_state(situation.phase),
            reason_tags(situation),
            (ended or now) if situation.finished else None,
            **of_pod(pod),
        ),
        plan=plan,
        now=now,
        patience=rules.tracking_patience if image is None else rules.beginning_patience,
        image=image,
    )


def server(run: ProjectRun, rules: Rules) -> TrackingServer | None:
    """Where a run is recorded."""
    return server_of(run, rules.defaults.tracking_uri, rules.defaults.tracking_secret)


def if_changed(run: ProjectRun, wanted: ProjectRunStatus) -> ProjectRunStatus | None:
    """A status that is worth a write."""
    return None if wanted == run.status else wanted


def sooner(decision: Decision, late: float | None) -> Decision:
    """The same decision, looked at again after so many seconds at the latest."""
    if late is None:
        return decision
    times = [wait for wait in (late, decision.again_after) if wait is not None]
    return replace(decision, again_after=min(times))
