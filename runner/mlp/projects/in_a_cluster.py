"""A call of `run` as a ProjectRun: what it asks, what the backend's configuration says, and what a driver hands on."""

from __future__ import annotations

import functools
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import ClusterError, FieldNotSupported, UsageError
from mlp.resources.names import NAMESPACE_VARIABLE

if TYPE_CHECKING:
    from mlp.backends.kubernetes import Cluster, KubernetesRun
    from mlp.backends.kubernetes.configuration import Configuration as Settings
    from mlp.backends.kubernetes.driver import Driver
    from mlp.backends.local import Request
    from mlp.backends.submission import Request as Asked
    from mlp.projects.choice import Configuration

__all__ = ["submit", "wait_for"]

Object = dict[str, Any]

_log = logging.getLogger(__name__)
_connecting = threading.Lock()

_NO_CLIENT: Final = "The backend kubernetes needs the Kubernetes client: pip install 'mlp-operator[kubernetes]'"
_MANAGERS: Final = {"uv": "virtualenv"}
"""The operator has one manager for python_env.yaml, which is uv."""


def submit(request: Request, configuration: Configuration | None) -> KubernetesRun:
    """Submit to a cluster what was asked for.

    Called in the pod of a run, this starts a child of it: in its namespace and experiment, with its access to data,
    and of its own project as another pod can fetch it.

    Args:
        request: What is asked for.
        configuration: The backend's configuration, as for `run`.

    Raises:
        UsageError: The configuration has something unknown, or a field has a value that it cannot have.
        FieldNotSupported: The request has something that does not exist in a cluster.
        ClusterError: The cluster cannot be reached, or does not allow it.
    """
    from mlp.backends.configuration import read_backend_config  # noqa: PLC0415

    try:
        from mlp.backends.kubernetes.configuration import read_configuration  # noqa: PLC0415 -- a third of a second
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "kubernetes":
            raise UsageError(_NO_CLIENT) from None
        raise
    settings = read_configuration(read_backend_config(configuration))
    _refuse(request)
    cluster, driver = _connect(settings)
    return _submit(request, settings, cluster, driver)


def wait_for(run: KubernetesRun) -> KubernetesRun:
    """Wait until a run has ended, and give it back if it has succeeded.

    Raises:
        RunFailed: Its command failed.
        RunError: It failed otherwise, or was cancelled.
        KeyboardInterrupt: The waiting was interrupted; the run goes on.
    """
    from mlp.backends.kubernetes import raise_for_outcome  # noqa: PLC0415
    from mlp.backends.kubernetes.outcome import raise_for_command  # noqa: PLC0415

    try:
        ended = run.last_state()
    except KeyboardInterrupt:
        _log.warning(
            "ProjectRun '%s' in namespace %s goes on. To end it: mlp cancel %s -n %s",
            run.name, run.cluster.namespace, run.name, run.cluster.namespace,
        )  # fmt: skip
        raise
    raise_for_command(ended)
    raise_for_outcome(ended)
    _log.info("=== Run '%s' succeeded ===", run.name)
    return run


def _refuse(request: Request) -> None:
    """Refuse what has no meaning in a cluster; say what has none there and does no harm."""
    instead = {
        "run_id": (request.run_id, "the operator makes the run in MLflow itself"),
        "docker_args": (request.docker_args, "say it of the pod: 'spec.backend.kubernetes' in the configuration"),
        "git_username and git_password": (
            request.username or request.password,
            "put them into a Secret of type kubernetes.io/basic-auth, and name it with 'auth_secret' there",
        ),
        "validate=False (--no-param-validation)": (not request.validate, "the operator checks parameters"),
    }
    for name, (given, advice) in instead.items():
        if given:
            raise FieldNotSupported(f"The backend kubernetes does not take {name}: {advice}.")
    if request.storage_dir is not None:
        _log.info("storage_dir is not used: data for path parameters is downloaded in the run's pod.")


def _connect(settings: Settings) -> tuple[Cluster, Driver | None]:
    from mlp.backends.kubernetes.driver import RIGHTS, driver_of, is_driver  # noqa: PLC0415

    # Whoever names another cluster than the one that this is in starts a run there as anybody does.
    at_home = is_driver() and settings.kubeconfig is None and settings.context is None
    if not at_home:
        return _connection(settings, settings.namespace), None
    try:
        own = _connection(settings, os.environ[NAMESPACE_VARIABLE])
    except ClusterError as error:
        raise ClusterError(f"{error}\n{RIGHTS}") from None
    return _connection(settings, settings.namespace or own.namespace), driver_of(own)


def _connection(settings: Settings, namespace: str | None) -> Cluster:
    # A forked process must not share its parent's connections, and variables say where a kubeconfig is.
    where = (os.getpid(), os.environ.get("KUBECONFIG"), os.environ.get("HOME"))
    with _connecting:
        return _connected(where, settings.kubeconfig, settings.context, namespace)


@functools.lru_cache(maxsize=16)
def _connected(_where: object, kubeconfig: str | None, context: str | None, namespace: str | None) -> Cluster:
    """One connection for all runs of a program in one namespace: it may start thousands."""
    from mlp.backends.kubernetes import Cluster  # noqa: PLC0415

    return Cluster.connect(kubeconfig=kubeconfig, context=context, namespace=namespace)


def _submit(request: Request, settings: Settings, cluster: Cluster, driver: Driver | None) -> KubernetesRun:
    from mlp.backends.kubernetes import KubernetesRun, send  # noqa: PLC0415
    from mlp.backends.kubernetes.children import end_with_us  # noqa: PLC0415
    from mlp.backends.sending import STAGING_VARIABLE, Luggage  # noqa: PLC0415

    project = _known_to(driver, request)
    staging = settings.staging or os.environ.get(STAGING_VARIABLE)
    luggage = Luggage(_asked(request, settings, project), files=settings.files, staging=staging)
    submission = luggage.new(
        name=settings.name,
        namespace=settings.namespace,
        finish=lambda run: _finished(run, _said(request, settings, driver, project), driver),
    )
    for line in luggage.said():
        _log.info("%s", line)
    luggage.stage()
    run = KubernetesRun(cluster, send(cluster, submission)["metadata"]["name"])
    # At once: whoever loses the cluster, or is interrupted, while waiting can find the run again.
    _log.info("=== Created ProjectRun '%s' in namespace %s ===", run.name, cluster.namespace)
    if driver is not None:
        end_with_us(run)
    return run


def _known_to(driver: Driver | None, request: Request) -> Object:
    """What a driver knows of the project that it asks for, as fields of spec.project."""
    if driver is None:
        return {}
    from mlp.source import locate  # noqa: PLC0415

    location = locate(request.uri, subdirectory=request.subdirectory, local=True)
    if location.kind == "directory":
        return driver.project_in(location.directory, request.version) or {}
    return driver.access_to(location.uri)


def _asked(request: Request, settings: Settings, project: Object) -> Asked:
    """What is asked for in the words of the command line."""
    from mlp.backends.submission import Request as Asked  # noqa: PLC0415

    elsewhere = "uri" in project
    return Asked(
        uri=request.uri,
        project=project if elsewhere else {},
        entry_point=request.entry_point,
        version=None if elsewhere else request.version,
        parameters={name: value for name, value in request.parameters.items() if name not in settings.files},
        env_manager=_MANAGERS.get(request.env_manager or "", request.env_manager),
    )


def _said(request: Request, settings: Settings, driver: Driver | None, project: Object) -> Object:
    """The fields of the spec that are said elsewhere than in the call: the later word counts."""
    from mlp.backends.kubernetes.configuration import merged  # noqa: PLC0415
    from mlp.projects.recording import recording_of  # noqa: PLC0415

    to_databricks = (settings.spec.get("backend") or {}).get("type") == "Databricks"
    said = {} if driver is None else driver.spec(to_databricks=to_databricks)
    for more in ({"project": project} if project else {}, settings.spec, recording_of(request, driver, settings.spec)):
        said = merged(said, more)
    return said


def _finished(run: Object, said: Object, driver: Driver | None) -> Object:
    """A manifest with what is said elsewhere below it, as part of the driver's run."""
    from mlp.backends.kubernetes.configuration import merged  # noqa: PLC0415
    from mlp.resources import ProjectRun  # noqa: PLC0415

    metadata = run["metadata"]
    if driver is not None and metadata.get("namespace", driver.namespace) == driver.namespace:
        metadata = {**metadata, "ownerReferences": [driver.owner_reference()]}
    result = {**run, "metadata": metadata, "spec": merged(said, run["spec"])}
    ProjectRun.parse(result)
    return result
