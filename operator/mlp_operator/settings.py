"""The operator's settings: environment variables named MLP_*, read once at start.

They configure one operator for everybody; what one run wants stands in its ProjectRun. Every field below is a
variable of the same name in capitals behind ``MLP_`` (``runner_image`` is ``MLP_RUNNER_IMAGE``).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

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

    environment_claim: str = ""
    """The PersistentVolumeClaim, in each run's namespace, that keeps environments where a run names none. Empty: they
    live as long as their pods."""

    step_variables: tuple[tuple[str, str], ...] = ()
    """Variables of all containers that prepare runs: those of the operator that begin with ``MLP_STEP_``, without that
    (``MLP_STEP_UV_DEFAULT_INDEX`` is ``UV_DEFAULT_INDEX`` there). For what a cluster has in common, such as its
    channels and its index; credentials belong into the Secrets that runs name."""

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

    tracking_uri: str = ""
    """The MLflow server of runs that name none, as pods reach it. Empty: such runs are not recorded."""

    tracking_secret: str = ""
    """The name of the Secret with its credentials, in each run's namespace."""

    trackers: int = 8
    """Runs that are written to MLflow servers at the same time."""

    tracking_timeout: float = 10.0
    """How long one such write may take."""

    delegates: int = 16
    """Requests to Databricks workspaces at the same time, questions for states apart: those are asked together."""

    databricks_timeout: float = 30.0
    """How long one request to a workspace may take."""

    databricks_poll_period: float = 10.0
    """How often a workspace is asked for the states of its runs, of all of them together where it can."""

    databricks_status_timeout: float = 1800.0
    """How long a run's state may be unreadable before the run is given up."""

    databricks_plain_http: bool = False
    """Whether workspaces may be named by ``http://``. Tokens travel in clear text then."""

    resync_period: float = 300.0
    """How often a full list replaces the cache and checks that the watches deliver."""

    watch_grace: float = 30.0
    """How far behind a list a watch may be before the liveness answer fails."""

    request_timeout: float = 20.0
    """One request to the API server."""

    progress_delay: float = 15.0
    """A pod that is still fetching after this time gets a status that says so (later where many start at once). Shorter
    stages are not written: every write costs the API server, and a second of cloning interests nobody."""

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
        known = {f"MLP_{field.name.upper()}": field for field in fields(cls) if field.name != "step_variables"}
        given = ((name.removeprefix(_STEP), value) for name, value in source.items() if name.startswith(_STEP))
        values: dict[str, Any] = {"step_variables": tuple(sorted(given))}
        for variable, field in known.items():
            if variable in source:
                values[field.name] = _convert(variable, field.name, str(field.type), source[variable])
        return cls(**values)


_STEP: Final = "MLP_STEP_"
_AT_LEAST_ONE: Final = ("workers", "resolvers", "trackers", "delegates")
_PROTOCOLS: Final = ("https", "ssh", "http", "file")
_LAST_PORT: Final = 65535
_MORE_THAN_NOTHING: Final = (
    "resolve_timeout",
    "tracking_timeout",
    "databricks_timeout",
    "databricks_poll_period",
    "databricks_status_timeout",
    "resync_period",
    "watch_grace",
    "request_timeout",
)
_CHOICES: Final = {
    "runner_image_pull_policy": ("Always", "IfNotPresent", "Never"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
}


def _convert(variable: str, field: str, type_name: str, text: str) -> object:
    match type_name:
        case "int" | "float":
            return _number(variable, field, text, whole=type_name == "int")
        case "bool":
            return _choose(variable, _WORDS, text.lower(), "true or false")
        case "tuple[str, ...]":
            parts = tuple(part.strip() for part in text.split(",") if part.strip())
            return _protocols(variable, parts) if field == "git_protocols" else parts
    if field == "runner_image" and not text.strip():
        raise SettingsError(f"{variable} must be the name of an image")
    if field in _CHOICES:
        choices = {choice.lower(): choice for choice in _CHOICES[field]}
        return _choose(variable, choices, text.lower(), " or ".join(_CHOICES[field]))
    return text


def _protocols(variable: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    lowered = tuple(part.lower() for part in parts)
    if not lowered or not set(lowered) <= set(_PROTOCOLS):
        raise SettingsError(f"{variable} must be some of {', '.join(_PROTOCOLS)}, not {', '.join(parts) or 'empty'}")
    return lowered


def _choose(variable: str, choices: Mapping[str, object], text: str, expected: str) -> object:
    if text not in choices:
        raise SettingsError(f"{variable} must be {expected}, not {text!r}")
    return choices[text]


def _number(variable: str, field: str, text: str, *, whole: bool) -> float:
    kind = "a whole number" if whole else "a number of seconds"
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        raise SettingsError(f"{variable} must be {kind}, not {text!r}") from None
    if field == "health_port" and not 0 <= number <= _LAST_PORT:
        raise SettingsError(f"{variable} must be a port, 0 to {_LAST_PORT}, not {text}")
    if field in _AT_LEAST_ONE and number < 1:
        raise SettingsError(f"{variable} must be at least 1, not {text}")
    if not math.isfinite(number) or number < 0 or (number == 0 and field in _MORE_THAN_NOTHING):
        raise SettingsError(f"{variable} must be {kind} above 0, not {text}")
    return number


_WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
