"""The Python API of running projects on this machine, with MLflow's names."""

from __future__ import annotations

import dataclasses
import logging
import signal
import uuid
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.local.preparation import prepare
from mlp.backends.local.process import run_in_foreground
from mlp.backends.local.request import Request
from mlp.backends.local.submitted import EndedRun, LocalRun
from mlp.errors import RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from mlp.resources import ProjectRun

__all__ = ["run", "run_manifest"]

_NO_PROGRAM: Final = 127
_log = logging.getLogger(__name__)


def run(
    uri: str | PathLike[str],
    entry_point: str = "main",
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    env_manager: str | None = None,
    synchronous: bool = True,
    validate: bool = True,
) -> EndedRun | LocalRun:
    """Run a project on this machine.

    Args:
        uri: A Git URL, ``user@host:path`` or a directory; ``#subdirectory`` may follow.
        entry_point: A name from the MLproject file, or a script's path from the project's root.
        version: A branch, tag or commit. A version of a directory in a Git repository is cloned; the directory itself
            stays as it is.
        parameters: Values by name; each is turned into text.
        env_manager: ``local`` to run in the current environment, whatever the project declares.
        synchronous: Wait for the run, with its output going where ours goes. Else it runs in the background, and what
            it writes is kept for `LocalRun.logs`.
        validate: Whether values have to fit their declared types.

    Returns:
        The run: ended and successful, or under way.

    Raises:
        RunFailed: The command failed (synchronous runs only).
        MlpError: Anything else that is wrong: the source, the project, a parameter.
        KeyboardInterrupt: The command was interrupted.
    """
    return _start(
        Request(
            uri=str(uri),
            entry_point=entry_point,
            version=version,
            parameters=_texts(parameters),
            env_manager=env_manager,
            validate=validate,
        ),
        synchronous=synchronous,
    )


def run_manifest(
    manifest: ProjectRun | str | PathLike[str],
    *,
    uri: str | PathLike[str] | None = None,
    entry_point: str | None = None,
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    env_manager: str | None = None,
    synchronous: bool = True,
    validate: bool = True,
) -> EndedRun | LocalRun:
    """Run what a ProjectRun describes on this machine, without any cluster.

    Args:
        manifest: A ProjectRun, or the path of a YAML file with one.
        uri: Take the project from here. The manifest's version and subdirectory belong to its own URI and then do not
            count.
        entry_point: Instead of the manifest's.
        version: Instead of the manifest's.
        parameters: Instead of the manifest's of the same names, or beside them.
        env_manager: Instead of the manifest's.
        synchronous: As for `run`.
        validate: As for `run`.

    Returns:
        The run, as `run` does.

    Raises:
        UsageError: The manifest is not valid, or needs something that only a cluster has.
        MlpError: As for `run`.
    """
    # pydantic takes 0.2 s to import, which the runs without a manifest need not pay.
    from mlp.backends.local.manifest import not_applied, request  # noqa: PLC0415
    from mlp.backends.manifest import read_manifest  # noqa: PLC0415
    from mlp.resources import ProjectRun  # noqa: PLC0415

    described = manifest if isinstance(manifest, ProjectRun) else read_manifest(manifest)
    asked = request(described, uri=None if uri is None else str(uri), parameters=_texts(parameters))
    instead = {"entry_point": entry_point, "version": version, "env_manager": env_manager}
    changes: dict[str, Any] = {name: value for name, value in instead.items() if value is not None}
    if fields := not_applied(described):
        _log.info("Not applied on this machine: %s", ", ".join(fields))
    return _start(dataclasses.replace(asked, **changes, validate=validate), synchronous=synchronous)


def _start(request: Request, *, synchronous: bool) -> EndedRun | LocalRun:
    run_id = uuid.uuid4().hex
    preparation = prepare(request)
    if not synchronous:
        return LocalRun(run_id, preparation)
    with preparation as prepared:
        command = prepared.invocation.command
        _log.info("=== Running command '%s' in run with ID '%s' ===", command, run_id)
        status = run_in_foreground(prepared)
    if status == -signal.SIGINT:
        # As a shell does: a command that Ctrl-C ended takes with it whoever waited for it.
        raise KeyboardInterrupt
    if status:
        raise RunFailed(_failure(run_id, request.entry_point, status), status=128 - status if status < 0 else status)
    _log.info("=== Run (ID '%s') succeeded ===", run_id)
    return EndedRun(run_id)


def _failure(run_id: str, entry_point: str, status: int) -> str:
    if status > 0:
        advice = " That is bash's word for a program that is not on PATH." if status == _NO_PROGRAM else ""
        return f"Run (ID '{run_id}') failed: entry point {entry_point} ended with exit status {status}.{advice}"
    name = signal.Signals(-status).name
    reason = " That is how the system ends a process when memory runs out." if -status == signal.SIGKILL else ""
    return f"Run (ID '{run_id}') failed: entry point {entry_point} was ended by {name}.{reason}"


def _texts(parameters: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (parameters or {}).items()}
