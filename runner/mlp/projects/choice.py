"""Which backend is meant, with which configuration, and the way to a cluster."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from mlp.errors import FieldNotSupported, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from mlp.backends.kubernetes import KubernetesRun
    from mlp.backends.local import Request

    Configuration = Mapping[str, Any] | str | PathLike[str]

__all__ = ["choose_backend", "choose_configuration", "submit", "tell_unused"]

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
