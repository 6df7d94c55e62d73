"""mlp as a backend of MLflow's own ``mlflow run -b mlp`` and ``mlflow.projects.run(backend="mlp")``.

MLflow finds it by the entry point group ``mlflow.project_backend``; nothing of ours imports it. MLflow's command line
starts the backends of plugins without waiting, and ends with 0 at once. We wait there, so that its exit status tells
how the run ended, as it does for MLflow's own local backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from mlp.errors import MlpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.backends import SubmittedRun as OurRun

__all__ = ["project_backend"]

_INTERNAL = frozenset(
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
        unknown = [key for key in backend_config if key not in _INTERNAL]
        if unknown:
            raise ExecutionException(f"The backend mlp has no configuration; leave {', '.join(unknown)} out.")
        on_the_command_line = click.get_current_context(silent=True) is not None
        try:
            return _Run(
                projects.run(
                    project_uri,
                    entry_point,
                    version,
                    params,
                    docker_args=backend_config.get(PROJECT_DOCKER_ARGS),
                    experiment_id=experiment_id,
                    storage_dir=backend_config.get(PROJECT_STORAGE_DIR),
                    run_id=backend_config.get(MLFLOW_LOCAL_BACKEND_RUN_ID_CONFIG),
                    env_manager=backend_config.get(PROJECT_ENV_MANAGER),
                    build_image=bool(backend_config.get(PROJECT_BUILD_IMAGE)),
                    docker_auth=backend_config.get(PROJECT_DOCKER_AUTH),
                    synchronous=on_the_command_line or bool(backend_config.get(PROJECT_SYNCHRONOUS, True)),
                    tracking_uri=tracking_uri,
                )
            )
        except MlpError as error:
            raise ExecutionException(str(error)) from error
