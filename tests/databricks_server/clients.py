"""What tests do with the double through databricks-sdk's own client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.service.compute import ClusterSpec
from databricks.sdk.service.jobs import Run, SparkPythonTask, SubmitTask
from databricks.sdk.service.workspace import ImportFormat

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 120
"""Seconds; what is waited for takes a fraction of one."""


def client(host: str, **options: Any) -> WorkspaceClient:
    """A client that gives up soon."""
    return WorkspaceClient(config=Config(host=host, retry_timeout_seconds=10, http_timeout_seconds=10, **options))


def cluster(**more: Any) -> ClusterSpec:
    return ClusterSpec(spark_version="15.4.x-scala2.12", node_type_id="i3.xlarge", num_workers=0, **more)


def put(workspace: WorkspaceClient, name: str, text: str) -> str:
    """A file in the home of whoever asks; its path as a cluster sees it."""
    home = f"/Workspace/Users/{workspace.current_user.me().user_name}/project"
    workspace.workspace.mkdirs(home)
    workspace.workspace.upload(f"{home}/{name}", text.encode(), format=ImportFormat.AUTO, overwrite=True)
    return f"{home}/{name}"


def submit(workspace: WorkspaceClient, file: str, *parameters: str, **more: Any) -> int:
    """A run of a file on a new cluster."""
    task = {"new_cluster": cluster(), **more.pop("task", {})}
    code = SparkPythonTask(python_file=file, parameters=list(parameters), source=more.pop("source", None))
    tasks = [SubmitTask(task_key="main", spark_python_task=code, **task)]
    return workspace.jobs.submit(run_name=more.pop("run_name", "a run"), tasks=tasks, **more).response.run_id


def has_ended(run: Run) -> bool:
    assert run.state is not None
    return run.state.life_cycle_state is not None and run.state.life_cycle_state.value in {
        "TERMINATED",
        "SKIPPED",
        "INTERNAL_ERROR",
    }


def ended(workspace: WorkspaceClient, run_id: int) -> Run:
    """A run once it has ended."""
    return until(lambda: workspace.jobs.get_run(run_id), has_ended)


def is_running(run: Run) -> bool:
    return words(run)[0] == "RUNNING"


def words(run: Run) -> tuple[str | None, str | None, str | None]:
    """A run's life_cycle_state, its result_state, and the code of its termination."""
    assert run.state is not None
    details = run.status.termination_details if run.status else None
    life, result = run.state.life_cycle_state, run.state.result_state
    code = details.code if details else None
    return life and life.value, result and result.value, code and code.value


def until(ask: Callable[[], Any], good: Callable[[Any], Any]) -> Any:
    """The first answer that is good."""
    give_up = time.monotonic() + PATIENCE
    while not good(answer := ask()):
        assert time.monotonic() < give_up, answer
        time.sleep(0.02)
    return answer


def printed(workspace: WorkspaceClient, run: Run) -> Any:
    """The output of a run's task."""
    assert run.tasks
    return workspace.jobs.get_run_output(run.tasks[0].run_id)
