"""The key databricks_spark_job: kept for the Databricks backend, and checked for what contradicts it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mlp.project.environment import ENVIRONMENT_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.project.entry_point import EntryPoint
    from mlp.project.problems import Findings
    from mlp.project.values import Mapping as Spec
    from mlp.project.values import Value

__all__ = ["SparkScript", "read_spark_job", "spark_script"]

_KEYS: Final = ("python_file", "parameters", "python_libraries")
_WHAT: Final = "Databricks Spark job"


@dataclass(frozen=True, slots=True)
class SparkScript:
    """What a databricks_spark_job with a python_file runs: no entry point, and no parameters but its own.

    Attributes:
        file: The Python file, from the project's root.
        arguments: What it gets.
    """

    file: str
    arguments: tuple[str, ...]


def spark_script(job: Mapping[str, Any] | None) -> SparkScript | None:
    """The script of a databricks_spark_job; None for one with entry points, and for a project without the key.

    Args:
        job: The content of the key, as `read_spark_job` gave it.
    """
    if job is None or "python_file" not in job:
        return None
    return SparkScript(str(job["python_file"]), tuple(map(str, job.get("parameters") or ())))


def read_spark_job(
    project: Spec, entry_points: Mapping[str, EntryPoint], findings: Findings
) -> Mapping[str, Any] | None:
    """Read the key from a project's file.

    Args:
        project: The whole file.
        entry_points: The entry points that the file declares.
        findings: Where it is noted what is malformed, or does not go together with the rest of the file.

    Returns:
        The plain content without nulls, or None where the key is missing.

    Raises:
        ProjectInvalid: It is no mapping.
    """
    value = project.given("databricks_spark_job")
    if value is None:
        return None
    job = value.mapping("databricks_spark_job", wanted="a mapping with a python_file", findings=findings)
    job.only(_KEYS, findings)
    for check in (_check_python_file, _check_lists):
        with findings.apart():
            check(job)
    with findings.apart():
        _check_what_runs(value, job, entry_points)
    _check_surroundings(project, entry_points, findings)
    return MappingProxyType({key: given.data for key in job.entries if (given := job.given(key))})


def _check_what_runs(value: Value, job: Spec, entry_points: Mapping[str, EntryPoint]) -> None:
    python_file = job.given("python_file")
    if python_file is None and not entry_points:
        raise value.invalid(
            f"{_WHAT} requires either 'databricks_spark_job.python_file' setting or 'entry_points' setting."
        )
    if python_file is not None and entry_points:
        raise python_file.invalid(
            f"{_WHAT} does not allow setting both 'databricks_spark_job.python_file' and 'entry_points'."
        )


def _check_python_file(job: Spec) -> None:
    python_file = job.given("python_file")
    if python_file is not None and not isinstance(python_file.data, str):
        raise python_file.no_text("python_file of databricks_spark_job")


def _check_lists(job: Spec) -> None:
    for key in ("parameters", "python_libraries"):
        given = job.given(key)
        if given is not None and not isinstance(given.data, list):
            raise given.invalid(f"{key} of databricks_spark_job is {given.kind}, but it must be a list.")


def _check_surroundings(project: Spec, entry_points: Mapping[str, EntryPoint], findings: Findings) -> None:
    for parameter in (declared for entry in entry_points.values() for declared in entry.parameters.values()):
        if parameter.type == "path":
            findings.add(
                parameter.type_position.invalid(
                    f"{_WHAT} does not support entry point parameter of 'path' type. "
                    f"'{parameter.name}' value type is invalid."
                )
            )
    for key in ENVIRONMENT_KEYS:
        if key in project.entries:
            kind = {"docker_env": "docker", "python_env": "python", "conda_env": "conda"}[key]
            findings.add(project.keys[key].invalid(f"{_WHAT} does not support setting {kind} environment."))
