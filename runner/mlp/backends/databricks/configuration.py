"""What ``backend_config`` says to the backend databricks: a cluster spec as MLflow takes it, and our keys beside it.

The cluster spec is `compute`'s to read. Our own keys say where the workspace is, how the project gets there and how the
run is waited for. A key that is neither is an error. No workspace is asked here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mlp.backends.databricks.compute import COMPUTE_KEYS, read_compute
from mlp.errors import UsageError
from mlp.project.suggestion import did_you_mean, nearest

if TYPE_CHECKING:
    from mlp.backends.databricks.task import Compute

__all__ = ["KEYS", "NO_CONFIGURATION", "PROVIDERS", "Configuration", "read_configuration"]

NO_CONFIGURATION: Final = "Backend spec must be provided when launching MLflow project runs on Databricks."
"""MLflow's words, which scripts look for."""
_SUCH_AS: Final = (
    "Give one as backend_config (-c), for example -c '{\"serverless\": true}' or a JSON file with new_cluster or "
    "existing_cluster_id."
)
PROVIDERS: Final = (
    "awsCodeCommit",
    "azureDevOpsServices",
    "bitbucketCloud",
    "bitbucketServer",
    "gitHub",
    "gitHubEnterprise",
    "gitLab",
    "gitLabEnterpriseEdition",
)
"""The Jobs API's names of those who serve Git."""

_WITHIN: Final = ("new_cluster", "existing_cluster_id", "serverless", "cluster_spec")
"""Beside any of these there are no fields of a cluster."""
_DIRECTORY: Final = re.compile(r"(/Volumes/[^/]+/[^/]+/[^/]+|/Workspace/[^/]+|dbfs:/[^/]+)(/.*)?")
_RUN_AS: Final = ("user_name", "service_principal_name")
_LONGEST_TIME: Final = 366 * 24 * 3600
_LONGEST_INTERVAL: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Where to run, and how.

    Attributes:
        compute: What the run gets to run on.
        host: The workspace's URL; None for what the profile or the environment says.
        profile: A profile of ~/.databrickscfg.
        upload_to: The directory for what is uploaded; None for ``.mlp`` in the user's home.
        project_source: Whether the project is uploaded, or the workspace fetches it itself.
        git_provider: Who serves the repository, for projects that the workspace fetches; None to be guessed.
        run_as: Whose rights the run has; None for the user's.
        tags: Tags of a new cluster.
        timeout_seconds: The run's own limit; None for none.
        tracking_uri: The tracking server as the cluster reaches it, where that is another address than here.
        status_check_timeout: Seconds for which the run's state may be unreadable before waiting is given up.
        poll_interval: Seconds between two looks at the run's state.
    """

    compute: Compute
    host: str | None = None
    profile: str | None = None
    upload_to: str | None = None
    project_source: Literal["archive", "git"] = "archive"
    git_provider: str | None = None
    run_as: Mapping[str, str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: int | None = None
    tracking_uri: str | None = None
    status_check_timeout: float = 1800.0
    poll_interval: float = 10.0


def read_configuration(given: Mapping[str, Any]) -> Configuration:
    """Understand a configuration.

    Args:
        given: What `mlp.backends.configuration.read_backend_config` has read.

    Raises:
        UsageError: There is none, a key that there is not, or a value that cannot be one.
    """
    asked = {key: value for key, value in given.items() if value is not None}
    if not asked:
        raise UsageError(f"{NO_CONFIGURATION} {_SUCH_AS}")
    _check_keys(asked)
    own = {key: _READ[key](key, value) for key, value in asked.items() if key in _READ}
    cluster = {key: value for key, value in asked.items() if key not in _READ}
    if not cluster:
        raise UsageError(
            "The configuration of the backend databricks does not say what to run on. Give new_cluster (or its fields "
            'as they are), existing_cluster_id, or "serverless": true.'
        )
    settings = Configuration(compute=read_compute(cluster), **own)
    if settings.tags and settings.compute.new_cluster is None:
        raise UsageError("'tags' are those of a new cluster: give new_cluster, or leave them out.")
    if settings.git_provider is not None and settings.project_source != "git":
        raise UsageError('\'git_provider\' goes with "project_source": "git". Leave it out, or add that.')
    return settings


def _check_keys(asked: Mapping[str, Any]) -> None:
    whole = not any(key in asked for key in _WITHIN)
    for key in asked:
        if key in KEYS:
            continue
        # What nobody here knows may be a cluster's field: Databricks adds to them, and tells what it does not take.
        if whole and nearest(key, KEYS) is None:
            continue
        hint = did_you_mean(key, KEYS) or f" It may have: {', '.join(KEYS)}. A cluster's fields stand in new_cluster."
        raise UsageError(f"The configuration of the backend databricks has no '{key}'.{hint}")


def _wrong(key: str, wanted: str, value: object) -> UsageError:
    return UsageError(f"'{key}' in the backend's configuration must be {wanted}, and is {value!r:.80}.")


def _text(key: str, value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _wrong(key, "a text", value)


def _host(key: str, value: object) -> str:
    text = _text(key, value)
    if "@" in text:
        # Not shown: what stands before the @ may be a password.
        raise UsageError(f"'{key}' in the backend's configuration has credentials in it. Write https://HOST.")
    return (text if "://" in text else f"https://{text}").rstrip("/")


def _tracking(key: str, value: object) -> str:
    text = _text(key, value)
    if "@" in text.partition("://")[2].partition("/")[0]:
        # Not shown, and not sent: it would stand among the parameters of the run.
        raise UsageError(
            f"'{key}' in the backend's configuration has credentials in it. A cluster has its own by spark_env_vars, "
            "from a secret scope: {{secrets/SCOPE/KEY}}."
        )
    if text.lower() != "databricks" and not re.match(r"(https?|databricks(-uc)?)://", text, re.IGNORECASE):
        raise _wrong(key, "'databricks' or the URL of a server that the cluster reaches", value)
    return text


def _directory(key: str, value: object) -> str:
    text = _text(key, value)
    if not _DIRECTORY.fullmatch(text) or ".." in text.split("/"):
        raise _wrong(key, "a directory: /Volumes/CATALOG/SCHEMA/VOLUME/…, /Workspace/… or dbfs:/…", value)
    return text.rstrip("/")


def _source(key: str, value: object) -> str:
    text = _text(key, value).lower()
    if text not in {"archive", "git"}:
        raise _wrong(key, "'archive' (the project is uploaded) or 'git' (the workspace fetches it)", value)
    return text


def _provider(key: str, value: object) -> str:
    text = _text(key, value)
    by_folded = {name.lower(): name for name in PROVIDERS}
    if text.lower() not in by_folded:
        raise _wrong(key, f"one of {', '.join(PROVIDERS)}", value)
    return by_folded[text.lower()]


def _identity(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _RUN_AS:
        raise _wrong(key, 'an object: {"user_name": "…"} or {"service_principal_name": "…"}', value)
    ((kind, name),) = value.items()
    return {str(kind): _text(f"{key}.{kind}", name)}


def _texts(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str | int | float) for each in value.values()):
        raise _wrong(key, "an object of texts", value)
    return {str(name): str(each) for name, each in value.items()}


def _seconds(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LONGEST_TIME:
        raise _wrong(key, f"whole seconds, from 1 to {_LONGEST_TIME:,}", value)
    return value


def _time(longest: int) -> Callable[[str, object], float]:
    def read(key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= longest:
            raise _wrong(key, f"seconds, up to {longest:,}", value)
        return float(value)

    return read


_READ: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "host": _host,
    "profile": _text,
    "upload_to": _directory,
    "project_source": _source,
    "git_provider": _provider,
    "run_as": _identity,
    "tags": _texts,
    "timeout_seconds": _seconds,
    "tracking_uri": _tracking,
    "status_check_timeout": _time(_LONGEST_TIME),
    "poll_interval": _time(_LONGEST_INTERVAL),
}
KEYS: Final = (*sorted({*COMPUTE_KEYS, *_READ}),)
