"""Which backend is meant, and which configuration."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    Configuration = Mapping[str, Any] | str | PathLike[str]

__all__ = ["choose_backend", "choose_configuration", "tell_unused"]

_BACKENDS: Final = ("local", "kubernetes", "databricks")
_NO_IMAGE_IS_BUILT: Final = (
    "mlp builds no images: the project's directory is mounted into the container, or brought in the pod. Leave "
    "build_image (--build-image) out."
)
_NO_LOGIN: Final = "docker_auth is not used: the container engine has its own log-in. Run: docker login REGISTRY."

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
    """
    chosen = _one_of("backend", backend, "mode", mode) or "local"
    if build_image:
        raise UsageError(_NO_IMAGE_IS_BUILT)
    if docker_auth:
        raise UsageError(_NO_LOGIN)
    if chosen not in _BACKENDS:
        raise UsageError(f"Got unsupported execution mode {chosen}. Supported values: {sorted(_BACKENDS)}")
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


def _one_of(name: str, value: Any, older: str, its_value: Any) -> Any:  # noqa: ANN401 -- whatever the two hold
    """The value of an argument that has an older name too."""
    if value is not None and its_value is not None and value != its_value:
        raise UsageError(f"'{older}' is an older name of '{name}', and the two say different things. Leave one out.")
    return its_value if value is None else value
