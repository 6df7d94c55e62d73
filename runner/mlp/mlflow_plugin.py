"""mlp as a backend of MLflow's own ``mlflow run -b mlp`` and ``mlflow.projects.run(backend="mlp")``.

MLflow finds it by the entry point group ``mlflow.project_backend``; nothing of ours imports it. The configuration says
where to run: ``-c '{"backend": "kubernetes", …}'`` or "databricks", for these names are MLflow's own. MLflow's command
line starts the backends of plugins without waiting, keeps ``--run-id`` and, until the end, ``--run-name`` from them,
and shows nothing of what they log. Here it waits, so that its exit status tells how the run ended, and both options and
the messages are as with MLflow's own local backend.
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
from mlp.errors import MlpError, TrackingNotFound, UsageError
from mlp.tracking import get_run, names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.backends import SubmittedRun as OurRun
    from mlp.backends.local import Request

__all__ = ["project_backend"]

_NAME: Final = "mlp"
_BACKEND: Final = "backend"
"""The key of the configuration that says where to run; mlp's own backends' names."""
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
    """Runs projects with mlp, on this machine, in a cluster or on Databricks."""

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
            backend, configuration = _choose(backend_config)
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
            if backend == "kubernetes":
                return _Run(_submit(request, configuration, wait=wait))
            if backend == "databricks":
                return _Run(_hand_over(request, configuration, wait=wait))
            return _Run(_begin(request, wait=wait))
        except MlpError as error:
            raise ExecutionException(str(error)) from error


def _begin(request: Request, *, wait: bool) -> OurRun:
    request = _as_ours(request)
    return local.run(request) if wait else local.start(request)


def _hand_over(request: Request, configuration: dict[str, Any], *, wait: bool) -> OurRun:
    """Start a run on Databricks. It is recorded here before it is submitted, where MLflow looks for it."""
    run = projects.submit_to_databricks(_as_ours(request), configuration)
    if wait:
        return projects.wait_for_databricks(run)
    run.follow()
    return run


def _as_ours(request: Request) -> Request:
    # MLflow writes the same tag, but only of a run that has succeeded or is under way.
    return dataclasses.replace(request, tags={names.PROJECT_BACKEND: _NAME})


def _submit(request: Request, configuration: dict[str, Any], *, wait: bool) -> OurRun:
    """Start a run in a cluster, and see to it that MLflow finds it where it looks.

    Raises:
        RunError: It has failed before it could be recorded, or in the end.
        TrackingNotFound: It is recorded elsewhere: MLflow is about to write a tag of a run that is not there.
    """
    run = projects.submit(_as_ours(request), configuration)
    # It is the ProjectRun's name where the operator has no tracking server, or could not reach it.
    if not _is_recorded(run.run_id, request.tracking_uri):
        from mlp.backends.kubernetes import raise_for_outcome  # noqa: PLC0415 -- it is there since the submission

        raise_for_outcome(run.get())
        raise TrackingNotFound(
            f"ProjectRun '{run.name}' in namespace {run.cluster.namespace} was submitted, but MLflow's tracking server "
            "does not have its run. Name that server, as pods reach it, with 'tracking_uri' in the backend's "
            f"configuration. What becomes of the run: mlp wait {run.name} -n {run.cluster.namespace}"
        )
    return projects.wait_for(run) if wait else run


def _is_recorded(run_id: str, tracking_uri: str | None) -> bool:
    try:
        get_run(run_id, tracking_uri)
    except TrackingNotFound:
        return False
    return True


def _choose(backend_config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where to run, and the configuration without what MLflow itself puts there.

    Raises:
        UsageError: What would do nothing: a configuration of the backend local, an image to build, a log-in.
    """
    given = {key: value for key, value in backend_config.items() if key not in _INTERNAL}
    backend = projects.choose_backend(
        given.pop(_BACKEND, None),
        None,
        build_image=bool(backend_config.get(PROJECT_BUILD_IMAGE)),
        docker_auth=backend_config.get(PROJECT_DOCKER_AUTH),
    )
    if backend == "local" and given:
        raise UsageError(
            f"The backend mlp has no configuration on this machine; leave {', '.join(given)} out, or add "
            f'"{_BACKEND}": "kubernetes" or "databricks".'
        )
    return backend, given


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
