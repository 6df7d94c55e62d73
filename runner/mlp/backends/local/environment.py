"""Which environment a command gets on this machine. So far there is one: the one that mlp itself was called in."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError

if TYPE_CHECKING:
    from mlp.project import Environment

__all__ = ["check_manager", "variables"]

_MANAGERS: Final = ("local", "conda", "virtualenv", "uv")
_DECLARED_BY: Final = {"conda": "conda environment", "python": "Python environment"}

_log = logging.getLogger(__name__)


def check_manager(manager: str | None) -> None:
    """See that an environment manager, where one is named, can be had.

    Raises:
        UsageError: There is no such manager, or this version does not have it.
    """
    if manager is not None and manager not in _MANAGERS:
        raise UsageError(f"Invalid value for `env_manager`: {manager}. Must be one of {list(_MANAGERS)}")
    if manager not in {None, "local"}:
        raise UsageError(
            f"The environment manager {manager} builds environments, which this version does not do on this machine. "
            "Install what the project needs, and pass --env-manager local."
        )


def variables(environment: Environment, manager: str | None) -> dict[str, str]:
    """The variables that a command of this project gets.

    Args:
        environment: What the project declares.
        manager: What the user chose; None for what the project declares.

    Raises:
        UsageError: The project declares an environment that would have to be built, or a variable that is not set.
    """
    check_manager(manager)
    if manager is None:
        _refuse_declared(environment)
        _log.info("The project declares no environment: running in the current one, as with --env-manager local.")
    result = dict(os.environ)
    if environment.kind == "docker":
        _log.info("docker_env is not used with --env-manager local, apart from its variables.")
        result.update(_declared(environment))
    return result


def _refuse_declared(environment: Environment) -> None:
    match environment.kind:
        case "none":
            return
        case "docker":
            raise UsageError(
                f"The project runs in the image {environment.image} (docker_env in its MLproject file); this version "
                "starts no containers on this machine. To run it in the current environment, install what it needs "
                "and pass --env-manager local."
            )
        case kind:
            raise UsageError(
                f"The project declares a {_DECLARED_BY[kind]} in {environment.file}; this version builds no "
                f"environments on this machine. Install what {environment.file} names, and pass --env-manager local "
                "to run in the current environment."
            )


def _declared(environment: Environment) -> dict[str, str]:
    """The pairs that docker_env.environment sets. What it copies from this machine is there already."""
    copied = [entry for entry in environment.variables if isinstance(entry, str)]
    for name in copied:
        if name not in os.environ:
            raise UsageError(
                f"This project expects the {copied} environment variables to be set on the machine running the "
                f"project, but {name} was not set. Please ensure all expected environment variables are set"
            )
    return dict(entry for entry in environment.variables if not isinstance(entry, str))
