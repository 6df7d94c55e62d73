"""What a Job and its pods say about a run, in the words of the state table. Pure: objects in, a reading out.

Success, and failure where no other attempt follows, are read from the pod, which knows first; the Job's own condition
comes up to seconds later, because its controller works in batches. What a single pod says is read in
pods.py, failures.py and reports.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names
from mlp.resources.conditions import Phase, Reason
from mlp_operator.runs import pods as read
from mlp_operator.runs.failures import Failure, failure_of
from mlp_operator.runs.hindrances import explain
from mlp_operator.runs.job import attempt_of
from mlp_operator.runs.pods import Situation
from mlp_operator.runs.reports import Step, steps_in, steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Reading", "Situation", "Step", "read_job"]

Object = dict[str, Any]

_DOING: Final = {
    ("clone",): "The project is being fetched.",
    ("clone", "data"): "The project and its data are being fetched.",
    ("clone", "environment"): "The project is being fetched and its environment built.",
    ("clone", "data", "environment"): "The project and its data are being fetched and its environment built.",
    ("environment",): "The environment is being built, or looked for in the cache.",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that the Job and its pods say.

    Attributes:
        situation: What the run is in.
        attempts: Attempts that have begun.
        started: Whether the command was started in any attempt that is still to be seen.
        pod: The pod of the newest attempt.
        exit_code: Of main, once it has ended.
        steps: Steps of the newest attempt.
        completed: When the run ended.
        since: When a minor situation began; it becomes worth a write after a while.
    """

    situation: Situation
    attempts: int
    started: bool = False
    pod: Object | None = None
    exit_code: int | None = None
    steps: tuple[Step, ...] = field(default=())
    completed: datetime | None = None
    since: datetime | None = None


def read_job(job: Object, pods: Sequence[Object], *, backoff_limit: int, planned: Sequence[str]) -> Reading:
    """Say what a run's Job and pods mean.

    Args:
        job: The run's Job.
        pods: Pods of the run, of this Job and maybe of earlier ones, oldest first.
        backoff_limit: spec.backoffLimit of the run.
        planned: The steps that its pods go through before main.
    """
    own = [pod for pod in pods if _owned_by(pod, job) and not read.withdrawn(pod)]
    before = attempt_of(job)
    failed = int((job.get("status") or {}).get("failed") or 0)
    verdict = _job_verdict(job)
    if not own:
        return Reading(_without_pod(verdict), attempts=max(1, before + failed))
    pod = own[-1]
    verdict = verdict or _late_verdict(job, pod)
    ended = pod["status"].get("phase") == "Failed"
    # The Job's count may lag behind the pod's end; the pods themselves are at least as many.
    attempts = before + max(failed + (0 if ended else 1), sum(not read.disrupted(each) for each in own), 1)
    match pod["status"].get("phase"):
        case _ if verdict is not None and verdict[0] == "Complete":
            # Whatever became of the pod that succeeded: it need not be the newest that is left.
            situation = Situation(Phase.SUCCEEDED, Reason.SUCCEEDED, "The command ended with exit code 0.")
        case "Succeeded":
            situation = Situation(Phase.SUCCEEDED, Reason.SUCCEEDED, "The command ended with exit code 0.")
        case "Failed":
            failure = failure_of(pod)
            situation = _after_failure(failure, verdict, pod, attempts=attempts, backoff_limit=backoff_limit)
        case "Running":
            situation = Situation(Phase.RUNNING, Reason.RUNNING, "The command runs.")
        case _:
            # What the pod says itself; what its events add is asked for where that is not enough.
            situation = explain(pod, ()) or _before_start(pod, planned)
    # A command's end shows some time before the pod's. It is told with the pod's, in one write.
    goes_on = situation.phase == Phase.RUNNING
    steps = steps_of(pod, planned)
    return Reading(
        situation,
        attempts=attempts,
        started=any(read.has_started(each) for each in own),
        pod=pod,
        exit_code=None if goes_on else read.exit_code(pod),
        steps=tuple(map(_unfinished, steps)) if goes_on else steps,
        completed=read.completion(pod) if situation.finished else None,
        since=read.init_started(pod) if situation.minor else None,
    )


def _unfinished(step: Step) -> Step:
    return replace(step, state="Running", reason=None, finished=None) if step.name == names.MAIN_CONTAINER else step


def _owned_by(pod: Object, job: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == job["metadata"]["uid"] for owner in owners)


def _job_verdict(job: Object) -> tuple[str, str] | None:
    """The Job controller's reason and message; None while it goes on."""
    conditions = {
        each["type"]: each for each in (job.get("status") or {}).get("conditions") or () if each["status"] == "True"
    }
    for kind in ("Complete", "Failed", "FailureTarget"):
        if kind in conditions:
            condition = conditions[kind]
            reason = "Complete" if kind == "Complete" else condition.get("reason") or kind
            return reason, condition.get("message") or ""
    return None


def _late_verdict(job: Object, pod: Object) -> tuple[str, str] | None:
    """That the Job's time was up when its pod was deleted: the controller deletes first and says so afterwards."""
    limit, started = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    deleted = pod["metadata"].get("deletionTimestamp")
    if limit is None or not started or not deleted:
        return None
    grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    if datetime.fromisoformat(deleted) - grace < datetime.fromisoformat(started) + timedelta(seconds=limit):
        return None
    return "DeadlineExceeded", f"its pod was deleted {limit} s after the Job's start"


def _without_pod(verdict: tuple[str, str] | None) -> Situation:
    """A Job whose pods are not there: not yet, or no more."""
    match verdict:
        case None:
            return Situation(
                Phase.PREPARING, Reason.SUBMITTED, "The Job is created; its pod is on its way.", minor=True
            )
        case ("Complete", _):
            return Situation(Phase.SUCCEEDED, Reason.SUCCEEDED, "The Job is complete.")
        case ("DeadlineExceeded", message):
            return Situation(Phase.FAILED, Reason.DEADLINE_EXCEEDED, _deadline_message(message))
        case (_, message):
            text = f"The Job has failed and its pod is gone, so nothing more is known: {message}"
            return Situation(Phase.FAILED, Reason.BACKOFF_LIMIT_EXCEEDED, text)


def _deadline_message(message: str) -> str:
    return f"The run took longer than spec.activeDeadlineSeconds allows. Raise it in a new ProjectRun. ({message})"


def _after_failure(
    failure: Failure, verdict: tuple[str, str] | None, pod: Object, *, attempts: int, backoff_limit: int
) -> Situation:
    """A pod has failed: is that the end?"""
    if verdict is not None and verdict[0] == "DeadlineExceeded":
        return Situation(Phase.FAILED, Reason.DEADLINE_EXCEEDED, _deadline_message(verdict[1]))
    disrupted = read.disrupted(pod)
    if verdict is None and not failure.repeats and (disrupted or attempts <= backoff_limit):
        counted = "does not count as an attempt" if disrupted else f"attempt {attempts} of {backoff_limit + 1}"
        return Situation(Phase.PENDING, Reason.RETRYING, f"Trying again after ({counted}): {failure.message}")
    if backoff_limit and failure.reason == Reason.ENTRY_POINT_FAILED:
        text = f"All {attempts} attempts failed. The last: {failure.message}"
        return Situation(Phase.FAILED, Reason.BACKOFF_LIMIT_EXCEEDED, text)
    return Situation(Phase.FAILED, failure.reason, failure.message)


def _before_start(pod: Object, planned: Sequence[str]) -> Situation:
    """How far a pod is whose phase is Pending, and which nothing keeps from its start."""
    for container in pod["status"].get("initContainerStatuses") or ():
        if (container.get("state") or {}).get("running") and container["name"] in names.INIT_CONTAINERS:
            steps = steps_in(container["name"], planned)
            reason = Reason.BUILDING_ENVIRONMENT if "environment" in steps else Reason.FETCHING
            return Situation(Phase.PREPARING, reason, _DOING[steps], minor=True)
    return Situation(Phase.PREPARING, Reason.SUBMITTED, "The pod is being started.", minor=True)
