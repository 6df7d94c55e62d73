"""Tasks for tests, and a check of what is sent for them by the SDK's own types."""

import dataclasses
import enum
import types
import typing

from databricks.sdk.service import compute as sdk_compute
from databricks.sdk.service import jobs

from mlp.backends.databricks.task import ArchivedProject, Assignment, Compute, RemoteTask

NEW_CLUSTER = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


def task(**given):
    """A task with everything that one must have."""
    return RemoteTask(
        **{
            "name": "a run",
            "token": "uid-1",
            "compute": Compute(new_cluster=NEW_CLUSTER),
            "project": ArchivedProject(key="ab" * 32),
            "assignment": Assignment(directory="/tmp/mlp-run"),
            **given,
        }
    )


def assert_is_a_submission(body):
    """Every field is one of the Jobs API's, of the right type."""
    tasks = body.pop("tasks")
    own = {key: body.pop(key) for key in ("run_name", "idempotency_token", "timeout_seconds") if key in body}
    assert all(isinstance(each, (str, int)) for each in own.values())
    checked = {
        "queue": jobs.QueueSettings,
        "git_source": jobs.GitSource,
        "run_as": jobs.JobRunAs,
        "environments": list[jobs.JobEnvironment],
    }
    for key in list(body):
        _check(body.pop(key), checked[key], key)
    _check(tasks, list[jobs.SubmitTask], "tasks")


def _check(value, wanted, at):
    origin = typing.get_origin(wanted)
    if origin in {typing.Union, types.UnionType}:
        (wanted,) = [each for each in typing.get_args(wanted) if each is not type(None)]
        origin = typing.get_origin(wanted)
    if origin is list:
        assert isinstance(value, list), at
        for each in value:
            _check(each, typing.get_args(wanted)[0], at)
    elif origin is dict:
        assert isinstance(value, dict), at
    elif dataclasses.is_dataclass(wanted):
        assert isinstance(value, dict), at
        hints = _hints(wanted)
        assert set(value) <= set(hints), f"{at}: {set(value) - set(hints)}"
        for key, each in value.items():
            _check(each, hints[key], f"{at}.{key}")
    elif isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        assert value in {each.value for each in wanted}, at
    else:
        assert isinstance(value, wanted), at


def _hints(wanted):
    names = {**vars(jobs), **vars(sdk_compute), "compute": sdk_compute, "Optional": typing.Optional}
    return {
        field.name: eval(field.type, names) if isinstance(field.type, str) else field.type
        for field in dataclasses.fields(wanted)
    }
