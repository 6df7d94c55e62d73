"""The operator's settings: environment variables named MLP_*, read once at start.

They configure one operator for everybody; what one run wants stands in its ProjectRun. Every field below is a
variable of the same name in capitals behind ``MLP_`` (``runner_image`` is ``MLP_RUNNER_IMAGE``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Settings", "SettingsError"]


class SettingsError(ValueError):
    """A variable's value cannot be used. The message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set from outside. Times are seconds."""

    runner_image: str = "mlp-runner"
    """Image of the init container, and of main where neither the run nor the project names one."""

    runner_image_pull_policy: str = "IfNotPresent"

    namespaces: tuple[str, ...] = ()
    """Namespaces to serve, comma-separated. Empty: all of them, which needs a ClusterRole."""

    git_protocols: tuple[str, ...] = ("https", "ssh")
    """Transports that Git may use, here and in pods. Adding ``http`` lets passwords travel in clear text."""

    git_other_hosts: bool = False
    """Whether submodules may come from another host than their repository."""

    workers: int = 16
    """Runs that are reconciled at the same time."""

    resolvers: int = 8
    """Git look-ups at the same time. Each is a short-lived process."""

    resolve_timeout: float = 60.0
    """How long one look-up of a project may take before it counts as unavailable."""

    resync_period: float = 300.0
    """How often a full list replaces the cache and checks that the watches deliver."""

    watch_grace: float = 30.0
    """How far behind a list a watch may be before the liveness answer fails."""

    request_timeout: float = 20.0
    """One request to the API server."""

    progress_delay: float = 15.0
    """A pod that is still fetching after this time gets a status that says so. Shorter stages are not written:
    every write costs the API server, and a second of cloning interests nobody."""

    health_port: int = 8080
    """/healthz, /readyz and /metrics. 0 takes a free port."""

    health_host: str = "0.0.0.0"  # noqa: S104 -- kubelet and Prometheus come from outside the pod

    shutdown_timeout: float = 10.0
    """How long a stopping operator lets the work in hand finish."""

    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: A value has the wrong form.
        """
        source = os.environ if environment is None else environment
        known = {f"MLP_{field.name.upper()}": field for field in fields(cls)}
        values: dict[str, Any] = {}
        for variable, field in known.items():
            if variable in source:
                values[field.name] = _convert(variable, str(field.type), source[variable])
        return cls(**values)


def _convert(variable: str, type_name: str, text: str) -> object:
    try:
        match type_name:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
            case "tuple[str, ...]":
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case _:
                return text
    except (ValueError, KeyError):
        kind = {"int": "a whole number", "float": "a number of seconds", "bool": "true or false"}[type_name]
        raise SettingsError(f"{variable} must be {kind}, not {text!r}") from None
