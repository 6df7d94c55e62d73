"""What is left to do about a run that has ended, or that is being deleted: MLflow, its pods, its Job, itself. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlp.resources import Phase
from mlp.resources.plan import Plan
from mlp_operator.runs import status as status_of
from mlp_operator.runs.actions import Action, Decision, DeleteRun, Observed, ReleasePods, Rules, Wanted
from mlp_operator.runs.deadlines import until
from mlp_operator.runs.expiry import expire
from mlp_operator.runs.following import Following, follow, of_pod, reason_tags_of, unrecorded
from mlp_operator.runs.job import plan_of
from mlp_operator.runs.pods import held, left
from mlp_operator.runs.recording import server_of, wanted_state

if TYPE_CHECKING:
    from datetime import datetime

    from mlp.resources import ProjectRun

__all__ = ["after_the_end", "during_deletion"]

Object = dict[str, Any]


def after_the_end(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """A finished run: make its record true, let its pods go, and clean up what has had its time."""
    expiry = expire(run, observed, now)
    following = _follow(run, observed, now, rules, wanted=wanted_state(run.status.phase)) if unrecorded(run) else None
    if following is None:
        return _with(expiry, _let_go(observed.pods))
    if following.action is not None:
        return Decision(actions=(following.action,))
    ended = run.status.completion_time
    late = None if ended is None else until(ended, rules.tracking_limit, now)
    patient = late is not None and late > 0 and not following.over
    if patient:
        # The record is made good from this very object: it has to stay for a while.
        expiry = replace(expiry, actions=tuple(each for each in expiry.actions if not isinstance(each, DeleteRun)))
    if following.hold is not None:
        return _again(expiry, following.hold)
    if patient:
        decision = _again(_again(expiry, late), following.again)
    else:
        decision = _again(_with(expiry, _let_go(observed.pods)), following.again)
    if following.record is None:
        return decision
    wanted = status_of.recorded(run.status, following.record, generation=run.metadata.generation, now=now)
    return replace(decision, status=None if wanted == run.status else wanted)


def during_deletion(run: ProjectRun, observed: Observed, now: datetime, rules: Rules) -> Decision:
    """A run that is being deleted: its pods may go once MLflow knows, or cannot be told."""
    wanted = wanted_state(run.status.phase if run.finished else Phase.CANCELLED)
    following = _follow(run, observed, now, rules, wanted=wanted)
    if following.action is not None:
        return Decision(actions=(following.action,))
    since = run.metadata.deletion_timestamp
    late = 0.0 if since is None else until(since, rules.tracking_limit, now)
    if following.over or late <= 0:
        return _with(Decision(), _let_go(observed.pods))
    return _again(_again(Decision(again_after=late), following.hold), following.again)


def _follow(run: ProjectRun, observed: Observed, now: datetime, rules: Rules, *, wanted: str) -> Following:
    return follow(
        run,
        observed.recording,
        server_of(run, rules.defaults.tracking_uri, rules.defaults.tracking_secret),
        Wanted(
            wanted,
            reason_tags_of(run),
            run.status.completion_time or now,
            **of_pod(observed.pods[-1] if observed.pods else None),
        ),
        plan=_plan(observed.job) if run.finished else None,
        now=now,
        patience=rules.tracking_patience,
    )


def _plan(job: Object | None) -> Plan | None:
    text = None if job is None else plan_of(job)
    try:
        return None if text is None else Plan.from_json(text)
    except ValueError:
        return None


def _let_go(pods: tuple[Object, ...]) -> ReleasePods | None:
    gone = tuple(pod for pod in pods if held(pod) and left(pod))
    return ReleasePods(gone) if gone else None


def _with(decision: Decision, action: Action | None) -> Decision:
    return decision if action is None else replace(decision, actions=(action, *decision.actions))


def _again(decision: Decision, wait: float | None) -> Decision:
    if wait is None:
        return decision
    return replace(decision, again_after=min(each for each in (wait, decision.again_after) if each is not None))
