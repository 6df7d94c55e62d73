"""What a call asks of this machine, as a request of the local backend: from arguments, or from a ProjectRun."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp.errors import UsageError

if TYPE_CHECKING:
    from os import PathLike

    from mlp.backends.local import Request
    from mlp.resources import ProjectRun

__all__ = ["local_request", "manifest_request"]

_log = logging.getLogger(__name__)


def local_request(  # noqa: PLR0913 -- as `run`
    uri: str | PathLike[str],
    entry_point: str = "main",
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    docker_args: Mapping[str, Any] | None = None,
    experiment_name: str | None = None,
    experiment_id: str | None = None,
    storage_dir: str | PathLike[str] | None = None,
    run_id: str | None = None,
    run_name: str | None = None,
    env_manager: str | None = None,
    tracking_uri: str | None = None,
    git_username: str | None = None,
    git_password: str | None = None,
    use_conda: bool = True,
    validate: bool = True,
) -> Request:
    """The request that such a call of `run` makes.

    Raises:
        UsageError: Things that exclude each other.
    """
    from mlp.backends.local import Request  # noqa: PLC0415

    if experiment_name and experiment_id:
        raise UsageError("Specify only one of 'experiment_name' or 'experiment_id'.")
    if not use_conda and env_manager not in {None, "local"}:
        raise UsageError(f"use_conda=False means env_manager='local', and '{env_manager}' was given too.")
    return Request(
        uri=str(uri),
        entry_point=entry_point,
        version=version,
        parameters=_texts(parameters),
        docker_args={
            key: value if isinstance(value, bool) else str(value) for key, value in (docker_args or {}).items()
        },
        experiment_name=experiment_name or None,
        experiment_id=None if experiment_id in {None, ""} else str(experiment_id),
        storage_dir=None if storage_dir is None else Path(storage_dir),
        run_id=run_id,
        run_name=run_name,
        env_manager=env_manager if use_conda else "local",
        tracking_uri=tracking_uri,
        username=git_username or None,
        password=git_password or None,
        validate=validate,
    )


def manifest_request(
    manifest: ProjectRun | str | PathLike[str],
    *,
    uri: str | PathLike[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    entry_point: str | None = None,
    **options: Any,  # noqa: ANN401 -- those of `local_request`
) -> Request:
    """The request that a ProjectRun makes, with what was given in place of its own words.

    Args:
        manifest: A ProjectRun, or the path of a YAML file with one.
        uri: As for `run_manifest`.
        parameters: As for `run_manifest`.
        entry_point: As for `run_manifest`.
        options: What else `local_request` takes. What is left at its default leaves the manifest's word.

    Raises:
        UsageError: The manifest is not valid, or needs something that only a cluster has.
    """
    given = local_request(uri or "", parameters=parameters, **options)
    # pydantic takes 0.2 s to import, which the runs without a manifest need not pay.
    from mlp.backends.local.manifest import not_applied, request  # noqa: PLC0415
    from mlp.backends.manifest import read_manifest  # noqa: PLC0415
    from mlp.resources import ProjectRun  # noqa: PLC0415

    described = manifest if isinstance(manifest, ProjectRun) else read_manifest(manifest)
    asked = request(described, uri=None if uri is None else str(uri), parameters=given.parameters)
    if fields := not_applied(described):
        _log.info("Not applied on this machine: %s", ", ".join(fields))
    default = local_request("")
    changes = {
        field.name: getattr(given, field.name)
        for field in dataclasses.fields(given)
        if field.name not in {"uri", "parameters"} and getattr(given, field.name) != getattr(default, field.name)
    }
    if entry_point is not None:
        changes["entry_point"] = entry_point
    if "experiment_id" in changes:
        changes["experiment_name"] = None
    return dataclasses.replace(asked, **changes)


def _texts(parameters: Mapping[str, Any] | None) -> dict[str, str]:
    if parameters is not None and not isinstance(parameters, Mapping):
        raise UsageError(f"parameters must be a mapping of names to values, and is {type(parameters).__name__}.")
    return {str(name): str(value) for name, value in (parameters or {}).items()}
