"""A run's status from what is known about it. Pure: the same facts and the same clock always give the same status.

Conditions are the truth, the phase is derived from them for people. ``Ready``, ``Reconciling`` and ``Stalled`` follow
kstatus (github.com/kubernetes-sigs/cli-utils): a run that goes on is in progress, a failed one is stalled, one that
succeeded is ready; conditions that would only say "no" are left out. ``Succeeded`` is the summary that the API
conventions ask of things that end.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from mlp.resources import (
    Condition,
    ConditionType,
    DatabricksStatus,
    EnvironmentStatus,
    KubernetesStatus,
    MlflowStatus,
    ParameterStatus,
    Phase,
    ProjectRunStatus,
    ProjectStatus,
    Reason,
    SourceStatus,
    StepStatus,
)

if TYPE_CHECKING:
    from mlp.resources.plan import Plan
    from mlp_operator.runs.following import Record
    from mlp_operator.runs.situation import Reading, Situation, Step

__all__ = ["before_job", "merge_patch", "plan_facts", "recorded", "with_job", "with_remote"]

_LONGEST_MESSAGE: Final = 4096
"""Bytes. Six conditions may repeat the first line, and kubectl prints them all."""

_Tri = Literal["True", "False", "Unknown"]


def before_job(
    stored: ProjectRunStatus,
    situation: Situation,
    *,
    generation: int,
    now: datetime,
    plan: Plan | None = None,
    record: Record | None = None,
    job_given_up: bool = False,
) -> ProjectRunStatus:
    """The status of a run that has no Job: not yet, never, or no more.

    Args:
        stored: The status so far; what it knows of source, project and Job stays.
        situation: What the run is in.
        generation: The metadata.generation that was looked at.
        now: Becomes the time of what changes.
        plan: What was resolved, if it was.
        record: How the run stands in MLflow.
        job_given_up: Whether there was a Job that we ourselves have taken away.
    """
    facts: dict[str, Any] = plan_facts(plan) if plan is not None else {}
    if job_given_up:
        facts["kubernetes"] = None
    if situation.finished:
        ended = stored.completion_time or _whole(now)
        facts["completion_time"] = ended
        facts["steps"] = tuple(_ended(step, situation.reason, ended) for step in stored.steps or ()) or None
    return _status(stored, situation, facts, generation=generation, now=now, record=record)


def with_job(
    stored: ProjectRunStatus,
    reading: Reading,
    *,
    job: dict[str, Any],
    plan: Plan,
    generation: int,
    now: datetime,
    record: Record | None = None,
    admitted: bool | None = None,
) -> ProjectRunStatus:
    """The status of a run whose Job is there.

    Args:
        stored: The status so far.
        reading: What Job and pods say.
        job: The Job.
        plan: What it was made from.
        generation: The metadata.generation that was looked at.
        now: Becomes the time of what changes.
        record: How the run stands in MLflow.
        admitted: Whether its queue has granted quota; None without a queue.
    """
    pod = reading.pod or {}
    facts = plan_facts(plan)
    ended = _whole(reading.completed or now) if reading.situation.finished else None
    steps = [_step(each) for each in reading.steps]
    if ended is not None:
        steps = [_ended(step, reading.situation.reason, ended) for step in steps]
    facts |= {
        "attempts": reading.attempts,
        "start_time": stored.start_time or datetime.fromisoformat(job["metadata"]["creationTimestamp"]),
        "completion_time": ended,
        "kubernetes": KubernetesStatus(
            job_name=job["metadata"]["name"],
            job_uid=job["metadata"]["uid"],
            pod_name=pod.get("metadata", {}).get("name"),
            node_name=pod.get("spec", {}).get("nodeName"),
            exit_code=reading.exit_code,
        ),
        "steps": tuple(steps) or None,
    }
    return _status(
        stored,
        reading.situation,
        facts,
        generation=generation,
        now=now,
        started=reading.started,
        record=record,
        admitted=admitted,
    )


def with_remote(  # noqa: PLR0913 -- one argument a fact
    stored: ProjectRunStatus,
    situation: Situation,
    *,
    databricks: DatabricksStatus,
    attempts: int,
    generation: int,
    now: datetime,
    plan: Plan | None = None,
    record: Record | None = None,
    started: bool = False,
    completed: datetime | None = None,
) -> ProjectRunStatus:
    """The status of a run that is, or is about to be, on Databricks.

    Args:
        stored: The status so far; what it knows of source and project stays.
        situation: What the run is in.
        databricks: What is known of the newest submission.
        attempts: Attempts that have begun.
        generation: The metadata.generation that was looked at.
        now: Becomes the time of what changes.
        plan: What was resolved, where that is new.
        record: How the run stands in MLflow.
        started: Whether the command was started in any attempt.
        completed: When Databricks says that it ended.
    """
    facts: dict[str, Any] = plan_facts(plan) if plan is not None else {}
    # A run that was held starts anew, and so does the time that it may be active.
    start = (stored.start_time or _whole(now)) if databricks.run_id is not None else None
    facts |= {
        "attempts": attempts,
        "databricks": databricks,
        "start_time": stored.start_time
        if situation.finished or (databricks.token is not None and start is None)
        else start,
        "completion_time": _whole(completed or now) if situation.finished else None,
    }
    return _status(stored, situation, facts, generation=generation, now=now, started=started, record=record)


def recorded(stored: ProjectRunStatus, record: Record, *, generation: int, now: datetime) -> ProjectRunStatus:
    """The status of a run that has ended, with how it stands in MLflow by now."""
    tracked = _tracked(record, generation=generation, now=now)
    conditions = [tracked if each.type == tracked.type else each for each in stored.conditions or ()]
    kept = {"mlflow": _mlflow(record) or stored.mlflow, "conditions": tuple(_keep_times(conditions, stored))}
    return stored.model_copy(update=kept)


def _mlflow(record: Record) -> MlflowStatus | None:
    run = record.run
    if run is None:
        return None
    return MlflowStatus(
        run_id=run.run_id, experiment_id=run.experiment_id or None, uri=run.uri, state=run.state or None
    )


def _tracked(record: Record, *, generation: int, now: datetime) -> Condition:
    state: _Tri = "Unknown"
    why, text = str(Reason.PENDING), "MLflow is being told."
    if record.settled and record.run is not None:
        state, why, text = "True", str(Reason.RECORDED), f"Run {record.run.run_id} of MLflow is {record.run.state}."
    elif record.trouble is not None:
        state, why, text = "False", record.trouble.reason, _clipped(record.trouble.message)
    return Condition(
        type=ConditionType.TRACKED,
        status=state,
        reason=why,
        message=text,
        last_transition_time=now,
        observed_generation=generation,
    )


def merge_patch(stored: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What has to be sent so that ``stored`` becomes ``wanted`` (RFC 7386): what is gone becomes null."""
    patch: dict[str, Any] = {key: None for key in stored if key not in wanted}
    for key, value in wanted.items():
        old = stored.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := merge_patch(old, value):
                patch[key] = inner
        elif old != value:
            patch[key] = value
    return patch


def plan_facts(plan: Plan) -> dict[str, Any]:
    """What a status says about the project.

    Raises:
        pydantic.ValidationError: Something in the plan is longer, or there is more of it, than the API takes.
    """
    project, source = plan.project, plan.source
    parameters = tuple(
        ParameterStatus(name=each.name, type=each.type, value=each.value, source=each.source)
        for each in project.parameters
    )
    return {
        "source": SourceStatus(
            commit=source.commit,
            version=source.version,
            subdirectory=source.subdirectory or None,
            sha256=source.bundle.sha256 if source.bundle is not None else None,
        ),
        "project": ProjectStatus(
            name=project.name,
            entry_point=project.entry_point,
            command=project.command,
            parameters=parameters or None,
            environment=EnvironmentStatus(manager=project.manager),
        ),
    }


def _whole(moment: datetime) -> datetime:
    """The API server keeps whole seconds: a status has to be equal to itself after a round trip."""
    return moment.replace(microsecond=0)


def _step(step: Step) -> StepStatus:
    state: Any = step.state
    return StepStatus(
        name=step.name, state=state, reason=step.reason, start_time=step.started, completion_time=step.finished
    )


def _ended(step: StepStatus, reason: str, moment: datetime) -> StepStatus:
    """A step of a run that is over: what waits will never start, and what ran was cut off."""
    match step.state:
        case "Pending":
            return step.model_copy(update={"state": "Skipped"})
        case "Running":
            return step.model_copy(update={"state": "Failed", "reason": str(reason), "completion_time": moment})
    return step


def _status(
    stored: ProjectRunStatus,
    situation: Situation,
    facts: dict[str, Any],
    *,
    generation: int,
    now: datetime,
    started: bool = False,
    record: Record | None = None,
    admitted: bool | None = None,
) -> ProjectRunStatus:
    if record is not None and (mlflow := _mlflow(record)) is not None:
        facts = {**facts, "mlflow": mlflow}
    status = stored.model_copy(update={**facts, "observed_generation": generation, "phase": str(situation.phase)})
    # Once the command was started in any attempt, it was: the pending deadline is met for good.
    before = stored.condition(ConditionType.INITIALIZED)
    started = started or (before is not None and before.status == "True")
    conditions = _conditions(status, situation, generation=generation, now=now, started=started, admitted=admitted)
    if record is not None:
        conditions.append(_tracked(record, generation=generation, now=now))
    elif (tracked := stored.condition(ConditionType.TRACKED)) is not None:
        conditions.append(tracked)
    return status.model_copy(update={"conditions": tuple(_keep_times(conditions, stored))})


def _conditions(
    status: ProjectRunStatus,
    situation: Situation,
    *,
    generation: int,
    now: datetime,
    started: bool,
    admitted: bool | None,
) -> list[Condition]:
    reason, message = str(situation.reason), _clipped(situation.message)
    # The whole story stands in Succeeded; the others have its first line.
    headline = message.partition("\n")[0]

    def condition(kind: ConditionType, state: _Tri, why: str, text: str) -> Condition:
        return Condition(
            type=kind, status=state, reason=why, message=text, last_transition_time=now, observed_generation=generation
        )

    outcome: _Tri = "Unknown"
    ready: _Tri = "False"
    if situation.phase == Phase.SUCCEEDED:
        outcome, ready = "True", "True"
    elif situation.finished:
        outcome = "False"
    conditions = [
        condition(ConditionType.SUCCEEDED, outcome, reason, message),
        condition(ConditionType.READY, ready, reason, headline),
    ]
    if situation.phase != Phase.SUSPENDED and status.condition(ConditionType.SUSPENDED) is not None:
        conditions.append(condition(ConditionType.SUSPENDED, "False", Reason.RESUMED, "The run is not held any more."))
    if situation.phase == Phase.SUSPENDED:
        conditions.append(condition(ConditionType.SUSPENDED, "True", reason, headline))
    elif not situation.finished:
        conditions.append(condition(ConditionType.RECONCILING, "True", reason, headline))
    elif outcome == "False":
        conditions.append(condition(ConditionType.STALLED, "True", reason, headline))
    if status.project is not None:
        text = f"{status.project.entry_point} of {status.project.name} {_pinned(status)}"
        conditions.append(condition(ConditionType.RESOLVED, "True", Reason.RESOLVED, text))
    else:
        conditions.append(
            condition(ConditionType.RESOLVED, "False" if situation.finished else "Unknown", reason, headline)
        )
    if (submitted := _submitted_as(status)) is not None:
        text = submitted
        conditions.append(condition(ConditionType.SUBMITTED, "True", Reason.SUBMITTED, text))
        if admitted is not None:
            why, text = (Reason.ADMITTED, "The queue has granted quota.") if admitted else (reason, headline)
            conditions.append(condition(ConditionType.ADMITTED, "True" if admitted else "False", why, text))
        why, text = (Reason.INITIALIZED, "The command was started.") if started else (reason, headline)
        conditions.append(condition(ConditionType.INITIALIZED, "True" if started else "False", why, text))
    return conditions


def _submitted_as(status: ProjectRunStatus) -> str | None:
    """What stands for a run where it was submitted to; None if nothing does."""
    if status.kubernetes is not None and status.kubernetes.job_name is not None:
        return f"Job {status.kubernetes.job_name}"
    if status.databricks is not None and status.databricks.run_id is not None:
        return f"Run {status.databricks.run_id} on Databricks"
    return None


def _pinned(status: ProjectRunStatus) -> str:
    source = status.source
    if source is not None and source.sha256 is not None:
        return f"in the bundle {source.sha256}"
    return f"at commit {source.commit if source is not None else None}"


def _clipped(message: str) -> str:
    """The beginning of a message that is too long: a user's value of any length may stand in it.

    So may the name of a file that is not UTF-8, which JSON cannot hold.
    """
    encoded = message.encode(errors="replace")
    if len(encoded) <= _LONGEST_MESSAGE:
        return encoded.decode()
    return encoded[: _LONGEST_MESSAGE - 3].decode(errors="ignore") + "…"


def _keep_times(conditions: list[Condition], stored: ProjectRunStatus) -> list[Condition]:
    """A condition's time is that of its last change of status, not of its message (metav1.Condition)."""
    before = stored.conditions_by_type
    return [
        condition.model_copy(update={"last_transition_time": old.last_transition_time})
        if (old := before.get(condition.type)) is not None and old.status == condition.status
        else condition
        for condition in conditions
    ]
