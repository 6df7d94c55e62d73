"""The Jobs API's calls on runs: what they take, what they refuse, what they answer."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from databricks.sdk.service.jobs import JobsAPI

from tests.databricks_server import answers
from tests.databricks_server.checking import check_call
from tests.databricks_server.refusals import RefusedError, forbidden, invalid
from tests.databricks_server.run import Phase

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.databricks_server.executing import Executor
    from tests.databricks_server.runs import Runs

__all__ = ["Jobs"]

LONGEST_TOKEN = 64
LONGEST_PARAMETERS = 10_000
"""Bytes of a task's parameters as JSON: what the documentation says of all of them together."""
LARGEST_BODY = 10 << 20
MOST_LISTED = 25


class Jobs:
    """The endpoints below /api/2.x/jobs/runs.

    Args:
        runs: The runs.
        executor: Has what they have printed.
        clusters: The clusters that exist.
        may_run_as: Whom an identity may let runs run as, beside itself; None: anybody.
    """

    def __init__(
        self, runs: Runs, executor: Executor, clusters: Collection[str], may_run_as: dict[str, list[str]] | None
    ):
        self._runs = runs
        self._executor = executor
        self._clusters = clusters
        self._may_run_as = may_run_as

    def submit(self, body: dict[str, Any], identity: str) -> dict[str, Any]:
        check_call(JobsAPI.submit, body)
        self._check(body)
        run_as = identity
        if given := body.get("run_as"):
            if len(given) != 1:
                raise invalid("run_as must have exactly one of user_name, service_principal_name and group_name.")
            (run_as,) = given.values()
            allowed = self._may_run_as is None or run_as in (identity, *self._may_run_as.get(identity, ()))
            if not allowed:
                raise forbidden(f"User {identity} does not have permission to run as {run_as}.")
        return {"run_id": self._runs.submit(body, identity, run_as).run_id}

    def _check(self, body: dict[str, Any]) -> None:
        token = body.get("idempotency_token")
        if token is not None and len(token) > LONGEST_TOKEN:
            raise invalid(f"idempotency_token must have at most {LONGEST_TOKEN} characters, not {len(token)}.")
        tasks = body.get("tasks") or []
        if len(tasks) != 1:
            raise invalid(f"tasks: the double runs one task, not {len(tasks)}.")
        task = tasks[0]
        if not task["task_key"] or not task["task_key"].replace("_", "a").replace("-", "a").isalnum():
            raise invalid(f"task_key: {task['task_key']!r} may have letters, digits, '-' and '_'.")
        if "spark_python_task" not in task:
            raise invalid("tasks[0]: the double runs no task but spark_python_task.")
        self._check_code(body, task["spark_python_task"])
        self._check_compute(body, task)
        for number, library in enumerate(task.get("libraries") or ()):
            if len(library) != 1 or not library.keys() <= {"pypi", "whl", "requirements"}:
                raise invalid(f"tasks[0].libraries[{number}]: the double installs pypi, whl and requirements only.")

    def _check_code(self, body: dict[str, Any], python_task: dict[str, Any]) -> None:
        size = len(json.dumps(python_task.get("parameters") or []))
        if size > LONGEST_PARAMETERS:
            raise invalid(f"The parameters have {size} bytes as JSON; the limit is {LONGEST_PARAMETERS}.")
        git_source, file = body.get("git_source"), python_task["python_file"]
        if git_source is None:
            if python_task.get("source") == "GIT":
                raise invalid("source GIT needs a git_source.")
            if not file.startswith(("/", "dbfs:/")):
                raise invalid(f"Invalid python file reference: {file}. It must begin with '/' or a scheme.")
            return
        given = [name for name in ("git_branch", "git_tag", "git_commit") if git_source.get(name)]
        if len(given) != 1:
            raise invalid("git_source must have exactly one of git_branch, git_tag and git_commit.")
        if "git_snapshot" in git_source:
            raise invalid("git_source.git_snapshot cannot be given.")
        if python_task.get("source") != "GIT" or file.startswith("/"):
            raise invalid("With git_source the double takes a python_file of the repository only (source GIT).")

    def _check_compute(self, body: dict[str, Any], task: dict[str, Any]) -> None:
        cluster, key = task.get("new_cluster"), task.get("environment_key")
        given = [name for name in ("new_cluster", "existing_cluster_id") if name in task]
        if len(given) == 2 or (given and key):
            raise invalid("A task has exactly one of new_cluster, existing_cluster_id and environment_key.")
        if "existing_cluster_id" in task and task["existing_cluster_id"] not in self._clusters:
            raise invalid(f"Cluster {task['existing_cluster_id']} does not exist")
        if cluster is not None:
            if not cluster.get("spark_version"):
                raise invalid("Missing required field: settings.tasks.new_cluster.spark_version")
            if not cluster.keys() & {"node_type_id", "instance_pool_id", "policy_id"}:
                raise invalid(
                    "Exactly one of node_type_id, instance_pool_id and policy_id must be given in new_cluster."
                )
            if "autoscale" in cluster and "num_workers" in cluster:
                raise invalid("new_cluster must have at most one of autoscale and num_workers.")
        if given:
            return
        environments = {each["environment_key"]: each.get("spec") or {} for each in body.get("environments") or ()}
        if not key:
            raise invalid("A spark_python_task without a cluster needs an environment_key (serverless compute).")
        if key not in environments:
            raise invalid(f"The environment_key '{key}' is not among the environments.")
        if not environments[key].get("environment_version") and not environments[key].get("client"):
            raise invalid(f"The environment '{key}' needs an environment_version.")
        if task.get("libraries"):
            raise invalid(
                "Libraries field is not supported for serverless task, please specify libraries in environment."
            )

    def get(self, query: dict[str, str], base: str) -> dict[str, Any]:
        return answers.run_answer(self._runs.get(_run_id(query)), base)

    def list(self, query: dict[str, str], base: str) -> dict[str, Any]:
        active, completed = (query.get(name) == "true" for name in ("active_only", "completed_only"))
        if active and completed:
            raise invalid("Only one of active_only and completed_only can be true.")
        limit = int(query.get("limit", 20))
        if not 1 <= limit <= MOST_LISTED:
            raise invalid(f"limit must be from 1 to {MOST_LISTED}, not {limit}.")
        found = [run for run in self._runs.all() if not (active and not run.active) and not (completed and run.active)]
        if query.get("run_type") not in {None, "SUBMIT_RUN"}:
            found = []
        for name, keep in (("start_time_from", float.__ge__), ("start_time_to", float.__le__)):
            if name in query:
                found = [run for run in found if keep(run.submitted * 1000, float(query[name]))]
        if page_token := query.get("page_token"):
            try:
                at, run_id = json.loads(base64.urlsafe_b64decode(page_token))
            except ValueError as error:
                raise invalid("page_token is not one that this API has given.") from error
            found = [run for run in found if (run.submitted, run.run_id) < (at, run_id)]
        page = found[:limit]
        told = answers.run_answer if query.get("expand_tasks") == "true" else answers.listed
        answer: dict[str, Any] = {"has_more": len(found) > limit}
        if page:
            answer["runs"] = [told(run, base) for run in page]
        if len(found) > limit:
            last = json.dumps([page[-1].submitted, page[-1].run_id]).encode()
            answer["next_page_token"] = base64.urlsafe_b64encode(last).decode()
        return answer

    def cancel(self, body: dict[str, Any], identity: str) -> dict[str, Any]:
        check_call(JobsAPI.cancel_run, body)
        self._runs.cancel(body["run_id"], identity)
        return {}

    def delete(self, body: dict[str, Any]) -> dict[str, Any]:
        check_call(JobsAPI.delete_run, body)
        self._runs.delete(body["run_id"])
        return {}

    def output(self, query: dict[str, str], base: str) -> dict[str, Any]:
        run_id = _run_id(query)
        run = self._runs.get(run_id)
        if run_id != run.task_run_id:
            message = (
                "Retrieving the output of runs with multiple tasks is not supported. Please retrieve the output of each"
                " individual task run instead."
            )
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", message)
        answer: dict[str, Any] = {"metadata": answers.output_metadata(run, base)}
        if run.phase != Phase.ENDED or run.ending is None:
            return answer
        if run.started is not None:
            logs, truncated = self._executor.printed(run)
            answer |= {"logs": logs, "logs_truncated": truncated}
        if run.ending.error is not None:
            answer["error"] = run.ending.error
        elif run.ending.life in {"INTERNAL_ERROR", "SKIPPED"}:
            answer["error"] = f"Run result unavailable: job failed with error message {run.ending.message}"
        if run.ending.trace is not None:
            answer["error_trace"] = run.ending.trace
        return answer

    def shows_unknown_words(self, query: dict[str, str]) -> bool:
        """Whether what was asked for tells of a run that a test gave words that the SDK does not know."""
        if "run_id" in query:
            return answers.says_unknown_words(self._runs.get(_run_id(query)))
        return any(answers.says_unknown_words(run) for run in self._runs.all())


def _run_id(query: dict[str, str]) -> int:
    try:
        return int(query["run_id"])
    except KeyError as error:
        raise invalid("Missing required field: run_id") from error
    except ValueError as error:
        raise invalid(f"run_id: {query['run_id']!r} is not an integer.") from error
