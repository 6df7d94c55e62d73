"""What MLflow is asked about one run, and in which order, so that it may break off anywhere and be done again.

Blocking calls, for threads. Nothing here knows of clusters or of the loop.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from mlp.errors import TrackingNotFound
from mlp.tracking import Refused, names, texts
from mlp_operator.runs.recording import FINISHED, KILLED, RUNNING, SCHEDULED, TrackedRun

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlp.tracking import Run, Tracking
    from mlp_operator.runs.actions import Wanted
    from mlp_operator.runs.recording import RunFacts, TrackingServer

__all__ = ["abandon", "begin", "write"]

_TERMINAL: Final = frozenset({"FINISHED", "FAILED", "KILLED"})

_log = logging.getLogger(__name__)


def begin(tracking: Tracking, server: TrackingServer, facts: RunFacts, now: datetime) -> TrackedRun:
    """Find a run by its uid, or make it; log what is known of it.

    Raises:
        TrackingError: It cannot be done, at least not now.
    """
    if facts.experiment is None and tracking.default_experiment is None:
        raise TrackingNotFound(
            "Databricks has no default experiment: name one in spec.experiment.name of a new ProjectRun, by its path "
            "in the workspace (/Users/you@example.com/my-experiment)."
        )
    experiment_id = tracking.experiment(**({"name": facts.experiment} if facts.experiment is not None else {}))
    tags = {name: _tag(value) for name, value in facts.tags.items()}
    run = _create(tracking, experiment_id, texts.storable(facts.run_name), tags, now)
    parameters = {
        name: texts.cut(texts.storable(value), texts.LONGEST_PARAMETER) for name, value in facts.parameters.items()
    }
    for name, reason in tracking.log_parameters(run.info.run_id, parameters).items():
        _log.warning("%s: the parameter %s is not recorded: %s", facts.run_name, name, reason)
    state = run.info.status
    if state not in _TERMINAL:
        tracking.update_run(run.info.run_id, status=SCHEDULED)
        state = SCHEDULED
    return TrackedRun(server.uri, run.info.experiment_id or experiment_id, run.info.run_id, state)


def write(tracking: Tracking, tracked: TrackedRun, wanted: Wanted, now: datetime) -> TrackedRun:
    """Make a run say this.

    A terminal state that the project's own code has set is kept, as `mlp run` keeps it.

    Raises:
        TrackingError: It cannot be done, at least not now.
    """
    state, tags, ended = wanted.state, wanted.tags, wanted.ended
    run = _active(tracking, tracked)
    run_id, found = run.info.run_id, run.info.status
    if tags:
        tracking.set_tags(run_id, {name: _tag(value) for name, value in tags.items()})
    for name in {names.REASON, names.MESSAGE} & set(run.data.tags) - set(tags):
        tracking.delete_tag(run_id, name)
    if found in _TERMINAL and _is_verdict(run, tracked, state, wanted.since, wanted.told_to_end):
        if run.info.end_time is None:
            tracking.update_run(run_id, status=found, end_time=_milliseconds(ended or now))
        shown = found if state in _TERMINAL else state
    else:
        end = _milliseconds(ended or now) if state in _TERMINAL else None
        # MLflow leaves the end where it is when a run goes on, so that it would have taken a negative time.
        reopened = 0 if end is None and run.info.end_time is not None else None
        tracking.update_run(run_id, status=state, end_time=reopened if end is None else end)
        shown = state
    return TrackedRun(tracked.uri, tracked.experiment_id or run.info.experiment_id, run_id, shown)


def abandon(tracking: Tracking, tracked: TrackedRun, state: str, namespace: str, now: datetime) -> None:
    """End a run whose ProjectRun is gone, unless it has ended.

    Raises:
        TrackingError: It cannot be done, at least not now.
    """
    run = _active(tracking, tracked)
    if run.data.tags.get(names.PROJECTRUN_NAMESPACE) != namespace:
        # A pod's annotation can be written by whoever may change pods.
        raise TrackingNotFound(f"The run {run.info.run_id} is none of namespace {namespace}.")
    if run.info.status not in _TERMINAL or run.info.end_time is None:
        kept = run.info.status if run.info.status in _TERMINAL else state
        tracking.update_run(run.info.run_id, status=kept, end_time=_milliseconds(now))


def _create(tracking: Tracking, experiment_id: str, run_name: str, tags: Mapping[str, str], now: datetime) -> Run:
    try:
        return tracking.create_run(
            experiment_id, run_name=run_name, tags=tags, start_time=_milliseconds(now), unique=names.PROJECTRUN_UID
        )
    except Refused as refusal:
        # Perhaps a tag's name that MLflow does not take. It is told which, and the run is recorded all the same.
        own = {name: tags[name] for name in (names.PROJECTRUN_UID, names.PROJECTRUN_NAME, names.PROJECTRUN_NAMESPACE)}
        run = tracking.create_run(
            experiment_id, run_name=run_name, tags=own, start_time=_milliseconds(now), unique=names.PROJECTRUN_UID
        )
        _log.warning("%s: not all tags are recorded: %s", run_name, refusal)
        for name, value in tags.items():
            try:
                tracking.set_tags(run.info.run_id, {name: value})
            except Refused as error:
                _log.warning("%s: the tag %s is not recorded: %s", run_name, name, error)
        return run


def _active(tracking: Tracking, tracked: TrackedRun) -> Run:
    run = tracking.get_run(tracked.run_id)
    if run.info.lifecycle_stage == "deleted":
        raise TrackingNotFound(
            f"The run {tracked.run_id} is deleted in MLflow. Restore it with `mlflow runs restore --run-id "
            f"{tracked.run_id}` if it is to be kept up to date."
        )
    return run


def _is_verdict(
    run: Run, tracked: TrackedRun, wanted: str, since: datetime | None, told_to_end: datetime | None
) -> bool:
    """Whether a terminal state was set by the code that runs, or has run, in the attempt that this is about."""
    end = run.info.end_time
    if since is not None and end is not None and end < _milliseconds(since):
        return False
    if told_to_end is not None and end is not None and end >= _milliseconds(told_to_end):
        return False
    if wanted in _TERMINAL:
        # Code that is told to end may call that a failure, but somebody has called it off.
        return not (wanted == KILLED and run.info.status != FINISHED)
    return wanted == RUNNING and (since is not None or tracked.state == SCHEDULED)


def _tag(value: str) -> str:
    return texts.cut(texts.storable(value), texts.LONGEST_TAG)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
