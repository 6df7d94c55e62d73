"""A run in the words of the Jobs API. Pure: a run in, an answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.databricks_server.run import Phase, Run

if TYPE_CHECKING:
    from tests.databricks_server.run import Ending, Step

__all__ = ["WORKSPACE_ID", "listed", "output_metadata", "run_answer", "says_unknown_words", "task_answer"]

WORKSPACE_ID = "1234567890123456"


def run_answer(run: Run, base: str) -> dict[str, Any]:
    """What runs/get says."""
    return {**listed(run, base), "tasks": [task_answer(run, base)]}


def listed(run: Run, base: str) -> dict[str, Any]:
    """What runs/list says of each."""
    git_source = run.body.get("git_source")
    if git_source and run.used_commit:
        git_source = {**git_source, "git_snapshot": {"used_commit": run.used_commit}}
    answer = {
        "job_id": _job_id(run),
        "run_id": run.run_id,
        "number_in_job": run.run_id,
        "original_attempt_run_id": run.run_id,
        "creator_user_name": run.creator,
        "run_name": run.body.get("run_name", "Untitled"),
        "run_page_url": f"{base}/?o={WORKSPACE_ID}#job/{_job_id(run)}/run/{run.run_id}",
        "run_type": "SUBMIT_RUN",
        "trigger": "ONE_TIME",
        "git_source": git_source,
        **_life(run, of_task=False),
        **_times(run),
    }
    if run.ended is not None:
        answer["run_duration"] = max(0, _millis(run.ended) - _millis(run.submitted))
    return _without_nothing(answer)


def task_answer(run: Run, base: str) -> dict[str, Any]:
    """What is said of the run's task."""
    task = run.task
    kept = ("task_key", "spark_python_task", "new_cluster", "existing_cluster_id", "environment_key", "libraries")
    git_source = run.body.get("git_source")
    answer = {
        **{name: task[name] for name in kept if task.get(name)},
        "run_id": run.task_run_id,
        "attempt_number": 0,
        "run_page_url": f"{base}/?o={WORKSPACE_ID}#job/{_job_id(run)}/run/{run.task_run_id}",
        "git_source": git_source,
        "timeout_seconds": task.get("timeout_seconds"),
        **_life(run, of_task=True),
        **_times(run),
    }
    if run.launched is not None and (task.get("new_cluster") or task.get("existing_cluster_id")):
        cluster_id = task.get("existing_cluster_id") or f"0101-000000-{run.run_id % 10**8:08d}"
        answer["cluster_instance"] = {"cluster_id": cluster_id, "spark_context_id": str(run.run_id)}
    return _without_nothing(answer)


def output_metadata(run: Run, base: str) -> dict[str, Any]:
    """The metadata in what runs/get-output says: the task's, as a run."""
    answer = run_answer(run, base)
    task = answer.pop("tasks")[0]
    taken = ("run_id", "run_page_url", "state", "status", "start_time", "end_time", "cluster_instance")
    return {**answer, **{name: task[name] for name in taken if name in task}, "job_run_id": run.run_id}


def says_unknown_words(run: Run) -> bool:
    """Whether an answer holds words that databricks-sdk does not know, because a test wants them."""
    return run.script.unknown is not None


def _job_id(run: Run) -> int:
    return run.run_id + 1


def _life(run: Run, *, of_task: bool) -> dict[str, Any]:
    if run.phase == Phase.ENDED:
        assert run.ending is not None
        told = _ended(run, run.ending, of_task=of_task)
    elif run.phase == Phase.WAITING:
        told = _waiting(run.script.steps[run.step] if run.script.steps else None)
    elif run.phase == Phase.PREPARING:
        told = _going_on("PENDING", "PENDING", "Waiting for cluster")
    elif run.phase == Phase.CLEANING:
        told = _going_on("TERMINATING", "TERMINATING", "Terminating the spark cluster")
        told["state"]["user_cancelled_or_timedout"] = run.cancel is not None
        if run.ending is not None and run.ending.result and run.cancel is None:
            told["state"]["result_state"] = run.ending.result
    else:
        word = run.script.unknown or "RUNNING"
        told = _going_on(word, word, "In run")
    if run.script.without_status:
        del told["status"]
    return told


def _going_on(life: str, state: str, message: str) -> dict[str, Any]:
    return {
        "state": {"life_cycle_state": life, "state_message": message, "user_cancelled_or_timedout": False},
        "status": {"state": state},
    }


def _waiting(step: Step | None) -> dict[str, Any]:
    if step is None:
        return _going_on("PENDING", "PENDING", "Waiting for cluster")
    told = _going_on(step.life, step.state or step.life, "")
    if step.life == "QUEUED":
        code = step.code or "MAX_CONCURRENT_RUNS_REACHED"
        told["state"]["queue_reason"] = "Queued due to reaching the maximum of concurrent runs."
        told["status"]["queue_details"] = {"code": code, "message": told["state"]["queue_reason"]}
    return told


def _ended(run: Run, ending: Ending, *, of_task: bool) -> dict[str, Any]:
    life = (ending.task_life if of_task else None) or ending.life
    message = ending.message
    if of_task and ending.task_life:
        message = "Workload failed, see run output for details"
    state = {"life_cycle_state": life, "state_message": message, "user_cancelled_or_timedout": run.cancel is not None}
    if ending.result is not None:
        state["result_state"] = ending.result
    details = {"code": ending.code, "type": ending.type, "message": ending.said or message}
    return {"state": state, "status": {"state": ending.state, "termination_details": details}}


def _times(run: Run) -> dict[str, Any]:
    submitted = _millis(run.submitted)
    if run.ended is None:
        return {"start_time": submitted, "setup_duration": 0, "execution_duration": 0, "end_time": 0}
    started = run.started if run.started is not None else run.ended
    finished = run.finished if run.finished is not None else run.ended
    return {
        "start_time": submitted,
        "setup_duration": max(0, _millis(started) - submitted),
        "execution_duration": max(0, _millis(finished) - _millis(started)),
        "cleanup_duration": max(0, _millis(run.ended) - _millis(finished)),
        "end_time": _millis(run.ended),
    }


def _millis(seconds: float) -> int:
    return int(seconds * 1000)


def _without_nothing(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if value is not None}
