"""The key databricks_spark_job: kept for the Databricks backend, and checked for what contradicts it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mlp.project.environment import ENVIRONMENT_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.project.entry_point import EntryPoint
    from mlp.project.mlproject import Mapping as Spec

__all__ = ["read_spark_job"]

_KEYS: Final = ("python_file", "parameters", "python_libraries")
_WHAT: Final = "Databricks Spark job"


def read_spark_job(
    project: Spec, entry_points: Mapping[str, EntryPoint]
) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """Read the key from a project's file.

    Args:
        project: The whole file.
        entry_points: The entry points that the file declares.

    Returns:
        The plain content without nulls, or None where the key is missing; and warnings.

    Raises:
        ProjectInvalid: It is malformed, or does not go together with the rest of the file.
    """
    value = project.given("databricks_spark_job")
    if value is None:
        return None, ()
    job = value.mapping("databricks_spark_job", wanted="a mapping with a python_file")
    warnings = job.only(_KEYS)
    _check_content(job)
    python_file = job.given("python_file")
    if python_file is None and not entry_points:
        raise value.invalid(
            f"{_WHAT} requires either 'databricks_spark_job.python_file' setting or 'entry_points' setting."
        )
    if python_file is not None and entry_points:
        raise python_file.invalid(
            f"{_WHAT} does not allow setting both 'databricks_spark_job.python_file' and 'entry_points'."
        )
    _check_surroundings(project, entry_points)
    return MappingProxyType({key: given.data for key in job.entries if (given := job.given(key))}), warnings


def _check_content(job: Spec) -> None:
    python_file = job.given("python_file")
    if python_file is not None and not isinstance(python_file.data, str):
        raise python_file.no_text("python_file of databricks_spark_job")
    for key in ("parameters", "python_libraries"):
        given = job.given(key)
        if given is not None and not isinstance(given.data, list):
            raise given.invalid(f"{key} of databricks_spark_job is {given.kind}, but it must be a list.")


def _check_surroundings(project: Spec, entry_points: Mapping[str, EntryPoint]) -> None:
    for parameter in (declared for entry in entry_points.values() for declared in entry.parameters.values()):
        if parameter.type == "path":
            raise parameter.type_position.invalid(
                f"{_WHAT} does not support entry point parameter of 'path' type. "
                f"'{parameter.name}' value type is invalid."
            )
    for key in ENVIRONMENT_KEYS:
        if key in project.entries:
            kind = {"docker_env": "docker", "python_env": "python", "conda_env": "conda"}[key]
            raise project.keys[key].invalid(f"{_WHAT} does not support setting {kind} environment.")
