"""mlp as a backend of MLflow's own ``mlflow run -b mlp`` and ``mlflow.projects.run(backend="mlp")``.

MLflow finds it by the entry point group ``mlflow.project_backend``; nothing of ours imports it. MLflow's command line
starts the backends of plugins without waiting, keeps ``--run-id`` and, until the end, ``--run-name`` from them, and
shows nothing of what they log. Here it waits, so that its exit status tells how the run ended, and both options and the
messages are as with MLflow's own local backend.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from mlflow.exceptions import ExecutionException
from mlflow.projects import SubmittedRun
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.utils import (
    MLFLOW_LOCAL_BACKEND_RUN_ID_CONFIG,
    PROJECT_BUILD_IMAGE,
    PROJECT_DOCKER_ARGS,
    PROJECT_DOCKER_AUTH,
    PROJECT_ENV_MANAGER,
    PROJECT_STORAGE_DIR,
    PROJECT_SYNCHRONOUS,
)

from mlp import projects
from mlp.backends import local
from mlp.errors import MlpError, UsageError
from mlp.tracking import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.backends import SubmittedRun as OurRun
    from mlp.backends.local import Request

__all__ = ["project_backend"]

_NAME: Final = "mlp"
_INTERNAL: Final = frozenset(
    {
        MLFLOW_LOCAL_BACKEND_RUN_ID_CONFIG,
        PROJECT_BUILD_IMAGE,
        PROJECT_DOCKER_ARGS,
        PROJECT_DOCKER_AUTH,
        PROJECT_ENV_MANAGER,
        PROJECT_STORAGE_DIR,
        PROJECT_SYNCHRONOUS,
    }
)


def project_backend() -> AbstractBackend:
    """The backend: what the entry point names."""
    return _Backend()


class _Run(SubmittedRun):
    """One of our runs as MLflow's."""

    def __init__(self, run: OurRun) -> None:
        super().__init__()
        self._run = run

    @property
    def run_id(self) -> str:
        return self._run.run_id

    def wait(self) -> bool:
        return self._run.wait()

    def get_status(self) -> str:
        return self._run.get_status()

    def cancel(self) -> None:
        self._run.cancel()

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """The lines that the run wrote; MLflow's own runs have no such thing."""
        return self._run.logs(follow=follow)


class _Backend(AbstractBackend):
    """Runs projects with mlp on this machine."""

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: Mapping[str, Any] | None,
        version: str | None,
        backend_config: Mapping[str, Any],
        tracking_uri: str,
        experiment_id: str | None,
    ) -> SubmittedRun:
        """Run a project as MLflow asks for it.

        Raises:
            ExecutionException: MLflow's own, with our message.
        """
        options = _options_of_mlflow_run()
        wait = bool(options) or backend_config.get(PROJECT_SYNCHRONOUS, True)
        if options:
            _log_as_mlflow_does()
        try:
            _check(backend_config)
            request = projects.local_request(
                project_uri,
                entry_point,
                version,
                params,
                docker_args=backend_config.get(PROJECT_DOCKER_ARGS),
                experiment_id=experiment_id,
                storage_dir=backend_config.get(PROJECT_STORAGE_DIR),
                run_id=backend_config.get(MLFLOW_LOCAL_BACKEND_RUN_ID_CONFIG) or options.get("run_id"),
                run_name=options.get("run_name"),
                env_manager=backend_config.get(PROJECT_ENV_MANAGER),
                tracking_uri=tracking_uri,
            )
            return _Run(_begin(request, wait=wait))
        except MlpError as error:
            raise ExecutionException(str(error)) from error


def _begin(request: Request, *, wait: bool) -> OurRun:
    # MLflow writes the same tag, but only of a run that has succeeded or is under way.
    request = dataclasses.replace(request, tags={names.PROJECT_BACKEND: _NAME})
    return local.run(request) if wait else local.start(request)


def _check(backend_config: Mapping[str, Any]) -> None:
    """Refuse what would do nothing.

    Raises:
        UsageError: A configuration, an image to build, or a registry to log in to.
    """
    if unknown := [key for key in backend_config if key not in _INTERNAL]:
        raise UsageError(f"The backend mlp has no configuration; leave {', '.join(unknown)} out.")
    projects.choose_backend(
        "local",
        None,
        build_image=bool(backend_config.get(PROJECT_BUILD_IMAGE)),
        docker_auth=backend_config.get(PROJECT_DOCKER_AUTH),
    )


def _options_of_mlflow_run() -> dict[str, Any]:
    """What ``mlflow run`` was called with; nothing in any other program, which may be a command line of its own."""
    context = click.get_current_context(silent=True)
    command = getattr(sys.modules.get("mlflow.cli"), "run", None)
    return dict(context.params) if context is not None and context.command is command else {}


class _ToMlflow(logging.Handler):
    """Hands our records to MLflow's own handlers, which format them as its own."""

    def emit(self, record: logging.LogRecord) -> None:
        # Transient ones are for a terminal line that is overwritten.
        if not getattr(record, "transient", False):
            logging.getLogger("mlflow").handle(record)


def _log_as_mlflow_does() -> None:
    ours = logging.getLogger("mlp")
    if not ours.handlers:
        ours.addHandler(_ToMlflow())
        ours.setLevel(logging.INFO)
