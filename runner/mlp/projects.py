"""Running projects from Python, with MLflow's signature: ``mlp.run`` is ``mlp.projects.run``.

This module turns a call into a request of the backend that it names, and nothing else.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from mlp.errors import FieldNotSupported, UsageError

if TYPE_CHECKING:
    from os import PathLike

    from mlp.backends import SubmittedRun
    from mlp.backends.kubernetes import KubernetesRun
    from mlp.backends.local import Request
    from mlp.resources import ProjectRun

    Configuration = Mapping[str, Any] | str | PathLike[str]

__all__ = [
    "choose_backend",
    "choose_configuration",
    "local_request",
    "manifest_request",
    "run",
    "run_manifest",
    "submit",
    "tell_unused",
]

_BACKENDS: Final = ("local", "kubernetes", "databricks")
_NO_IMAGE_IS_BUILT: Final = (
    "mlp builds no images: the project's directory is mounted into the container, or cloned in the pod. Leave "
    "build_image (--build-image) out."
)
_NO_LOGIN: Final = "docker_auth is not used: the container engine has its own log-in. Run: docker login REGISTRY."
_OF_A_CLUSTER: Final = (
    "auth_secret", "context", "cpu", "image", "kubeconfig", "memory", "name", "namespace", "service_account",
)  # fmt: skip
_MLFLOWS: Final = {"kube-context": "context"}
_NOT_NEEDED: Final = ("kube-job-template-path", "repository-uri")

_log = logging.getLogger(__name__)


def run(  # noqa: PLR0913, PLR0917 -- MLflow's signature
    uri: str | PathLike[str],
    entry_point: str = "main",
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    docker_args: Mapping[str, Any] | None = None,
    experiment_name: str | None = None,
    experiment_id: str | None = None,
    backend: str | None = None,
    backend_config: Configuration | None = None,
    storage_dir: str | PathLike[str] | None = None,
    synchronous: bool = True,  # noqa: FBT001, FBT002 -- MLflow's signature
    run_id: str | None = None,
    run_name: str | None = None,
    env_manager: str | None = None,
    build_image: bool = False,  # noqa: FBT001, FBT002 -- MLflow's signature
    docker_auth: Mapping[str, str] | None = None,
    *,
    tracking_uri: str | None = None,
    git_username: str | None = None,
    git_password: str | None = None,
    mode: str | None = None,
    cluster_spec: Configuration | None = None,
    use_conda: bool = True,
    validate: bool = True,
) -> SubmittedRun:
    """Run a project.

    Args:
        uri: A Git URL, ``user@host:path``, a directory or a zip archive; ``#subdirectory`` may follow.
        entry_point: A name from the MLproject file, or a script's path from the project's root.
        version: A branch, tag or commit. A version of a directory in a Git repository is cloned; the directory itself
            stays as it is.
        parameters: Values by name; each is turned into text.
        docker_args: Options of ``docker run`` by name, for projects with a docker_env; True for one without a value.
        experiment_name: The experiment to record the run in, made if there is none of the name.
        experiment_id: The same by its ID. Without either MLFLOW_EXPERIMENT_ID and MLFLOW_EXPERIMENT_NAME count, and
            then the default experiment.
        backend: ``local`` (the default) or ``kubernetes``.
        backend_config: For Kubernetes: namespace, context, kubeconfig, name, image, auth_secret, service_account, cpu
            and memory, as a mapping, as JSON or as the path of a ``.json`` file.
        storage_dir: Where data for ``path`` parameters is downloaded to, and stays. Without one it goes to a temporary
            directory that is removed with the run.
        synchronous: Wait for the run. Else it goes on in the background; here the interpreter waits for it at its end.
        run_id: A run in the tracking store to be continued, instead of a new one.
        run_name: The run's name in the tracking store.
        env_manager: ``local`` for the current environment, ``conda``, ``virtualenv`` or ``uv``; None for what
            MLP_ENV_MANAGER says, or else the project.
        build_image: Refused: no image is built.
        docker_auth: Refused: log in with ``docker login``.
        tracking_uri: The tracking store; None for MLFLOW_TRACKING_URI.
        git_username: The user for Git over https; None for MLFLOW_GIT_USERNAME.
        git_password: Their password or token; None for MLFLOW_GIT_PASSWORD.
        mode: An older name of `backend`.
        cluster_spec: An older name of `backend_config`.
        use_conda: False is an older way to say ``env_manager="local"``.
        validate: Whether values have to fit their declared types.

    Returns:
        The run: ended and successful, or under way.

    Raises:
        RunFailed: The command failed (synchronous runs only). It has the exit status and the last lines.
        ExecutionException: Anything else that is wrong: the source, the project, a parameter, data, the environment.
        UsageError: The call itself is wrong.
        ClusterError: The cluster cannot be reached, or does not allow it.
        KeyboardInterrupt: The command was interrupted.
    """
    chosen = choose_backend(backend, mode, build_image=build_image, docker_auth=docker_auth)
    configuration = choose_configuration(backend_config, cluster_spec)
    request = local_request(
        uri,
        entry_point,
        version,
        parameters,
        docker_args=docker_args,
        experiment_name=experiment_name,
        experiment_id=experiment_id,
        storage_dir=storage_dir,
        run_id=run_id,
        run_name=run_name,
        env_manager=env_manager,
        tracking_uri=tracking_uri,
        git_username=git_username,
        git_password=git_password,
        use_conda=use_conda,
        validate=validate,
    )
    if chosen == "kubernetes":
        from mlp.backends.kubernetes import raise_for_outcome  # noqa: PLC0415 -- each backend is imported by who asks

        submitted = submit(request, configuration)
        if synchronous:
            submitted.wait()
            raise_for_outcome(submitted.get())
        return submitted
    tell_unused(configuration)
    from mlp.backends import local  # noqa: PLC0415

    return local.run(request) if synchronous else local.start(request)


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
) -> SubmittedRun:
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
        ExecutionException: As for `run`.
    """
    from mlp.backends import local  # noqa: PLC0415

    request = manifest_request(
        manifest,
        uri=uri,
        parameters=parameters,
        entry_point=entry_point,
        version=version,
        env_manager=env_manager,
        validate=validate,
    )
    return local.run(request) if synchronous else local.start(request)


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


def choose_backend(
    backend: str | None,
    mode: str | None,
    *,
    build_image: bool = False,
    docker_auth: Mapping[str, str] | None = None,
) -> str:
    """The backend that is meant.

    Args:
        backend: Its name.
        mode: The same under its older name.
        build_image: Whether an image is asked for, which no backend builds.
        docker_auth: What no backend logs in to a registry with.

    Raises:
        UsageError: There is no such backend, or something is asked for that none does.
        FieldNotSupported: This version does not have it.
    """
    chosen = _one_of("backend", backend, "mode", mode) or "local"
    if build_image:
        raise UsageError(_NO_IMAGE_IS_BUILT)
    if docker_auth:
        raise UsageError(_NO_LOGIN)
    if chosen not in _BACKENDS:
        raise UsageError(f"Got unsupported execution mode {chosen}. Supported values: {sorted(_BACKENDS)}")
    if chosen == "databricks":
        raise FieldNotSupported("The backend databricks comes with a later version. Use local or kubernetes.")
    return str(chosen)


def choose_configuration(
    backend_config: Configuration | None, cluster_spec: Configuration | None
) -> Configuration | None:
    """The backend's configuration, under either of its names.

    Raises:
        UsageError: The two say different things.
    """
    return cast("Configuration | None", _one_of("backend_config", backend_config, "cluster_spec", cluster_spec))


def tell_unused(configuration: Configuration | None) -> None:
    """Warn of a configuration that was given to the backend local, which has none."""
    if configuration is not None:
        _log.warning("The backend local has no configuration; backend_config is not used.")


def submit(request: Request, configuration: Configuration | None) -> KubernetesRun:
    """Submit to a cluster what was asked for.

    Args:
        request: What is asked for.
        configuration: The backend's configuration, as for `run`.

    Raises:
        UsageError: The configuration has something unknown.
        FieldNotSupported: The request has something that this version does not do in a cluster.
        ClusterError: The cluster cannot be reached, or does not allow it.
    """
    from mlp.backends.configuration import read_backend_config  # noqa: PLC0415
    from mlp.backends.kubernetes import Cluster  # noqa: PLC0415
    from mlp.backends.kubernetes import submit as submit_to  # noqa: PLC0415

    given = {_MLFLOWS.get(key, key): value for key, value in read_backend_config(configuration).items()}
    _check_configuration(given)
    refused = [
        name
        for name, value in (
            ("experiment_name", request.experiment_name),
            ("experiment_id", request.experiment_id),
            ("run_id", request.run_id),
            ("run_name", request.run_name),
            ("tracking_uri", request.tracking_uri),
            ("docker_args", request.docker_args),
            ("storage_dir", request.storage_dir),
        )
        if value
    ]
    if refused:
        raise FieldNotSupported(f"The backend kubernetes does not act on {', '.join(refused)} in this version.")
    place = {key: str(given.pop(key)) for key in ("kubeconfig", "context", "namespace") if key in given}
    if request.env_manager is not None:
        given["env_manager"] = "virtualenv" if request.env_manager == "uv" else request.env_manager
    return submit_to(
        request.uri,
        request.entry_point,
        request.version,
        request.parameters,
        cluster=Cluster.connect(**place),
        **{key: str(value) for key, value in given.items()},
    )


def _check_configuration(given: Mapping[str, Any]) -> None:
    for key in given:
        if key in _NOT_NEEDED:
            raise UsageError(
                f"'{key}' belongs to MLflow's Kubernetes backend, which builds an image and starts a Job from a "
                "template. mlp needs neither: leave it out, and give 'namespace', 'image' or 'service_account' instead."
            )
        if key not in _OF_A_CLUSTER:
            close = difflib.get_close_matches(key, _OF_A_CLUSTER, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"It may have: {', '.join(_OF_A_CLUSTER)}."
            raise UsageError(f"The configuration of the backend kubernetes has no '{key}'. {hint}")


def _one_of(name: str, value: Any, older: str, its_value: Any) -> Any:  # noqa: ANN401 -- whatever the two hold
    """The value of an argument that has an older name too."""
    if value is not None and its_value is not None and value != its_value:
        raise UsageError(f"'{older}' is an older name of '{name}', and the two say different things. Leave one out.")
    return its_value if value is None else value


def _texts(parameters: Mapping[str, Any] | None) -> dict[str, str]:
    if parameters is not None and not isinstance(parameters, Mapping):
        raise UsageError(f"parameters must be a mapping of names to values, and is {type(parameters).__name__}.")
    return {str(name): str(value) for name, value in (parameters or {}).items()}
