"""Which store is meant, and how it is reached: from a tracking URI and the environment to an open connection.

Decides; sends nothing, and imports neither requests nor mlflow. The store does when it is used.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from mlp.errors import TrackingError, UsageError
from mlp.tracking.credentials import Credentials, Tls, without_user
from mlp.tracking.names import (
    ENV_EXPERIMENT_ID,
    ENV_EXPERIMENT_NAME,
    ENV_PASSWORD,
    ENV_SWITCH,
    ENV_TRACKING_URI,
    ENV_USERNAME,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.tracking.connection import Limits
    from mlp.tracking.diagnosis import Advice
    from mlp.tracking.store import Tracking

__all__ = ["connect", "connect_to", "wanted_experiment"]

DATABASES: Final = ("sqlite", "postgresql", "mysql", "mssql")
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/]*@")


def connect(uri: str | None = None) -> Tracking | None:
    """Open a tracking store.

    Args:
        uri: A server (``http://…``), ``databricks``, a database (``sqlite:///…``) or a directory. None: what
            MLFLOW_TRACKING_URI says; else MLflow's own default store, ``mlflow.db`` in the current directory, if the
            mlflow package is installed.

    Returns:
        None if tracking is off: nothing is configured and there is no mlflow package, or MLP_TRACKING is ``off``.

    Raises:
        UsageError: The URI or a setting is malformed.
        TrackingError: The store needs a package that is not installed, or credentials that there are not.
    """
    variables = os.environ
    if not uri:
        if is_off(variables):
            return None
        uri = variables.get(ENV_TRACKING_URI) or _default(Path.cwd())
    if uri is None:
        return None
    try:
        urlsplit(uri)
    except ValueError as error:
        raise UsageError(f"The tracking URI is malformed: {error}. Write http://HOST:PORT, for example.") from None
    return _open(uri, variables, Path.cwd())


def connect_to(
    uri: str,
    *,
    credentials: Credentials,
    tls: Tls,
    limits: Limits,
    host: str | None = None,
    workspace: str = "",
    advice: Advice | None = None,
) -> Tracking:
    """Open a tracking server that somebody else has named, with the credentials that go with it and no others.

    Nothing of this process' surroundings is ever sent: no variable, no ~/.mlflow/credentials, no ~/.netrc, no profile.
    The network's own settings apply: proxies, and REQUESTS_CA_BUNDLE where `tls` names no authority.

    Args:
        uri: ``http(s)://…``, or ``databricks``.
        credentials: Who asks.
        tls: Whom to believe.
        limits: How long to wait, and for how much.
        host: The Databricks workspace.
        workspace: The workspace of an MLflow server.
        advice: Where those who read messages set things right.

    Raises:
        UsageError: There is no such server: a malformed URI, one with credentials in it, or none of a server.
    """
    from mlp.tracking.connection import Connection  # noqa: PLC0415 -- each kind is loaded for its own URIs
    from mlp.tracking.rest import RestTracking  # noqa: PLC0415

    address = _address(uri, host)
    headers = credentials.headers
    is_databricks = uri == "databricks"
    connection = Connection(
        address,
        shown=f"Databricks ({address})" if is_databricks else address,
        authenticate=lambda: headers,
        tls=tls,
        secrets=credentials.secrets,
        variables={"MLFLOW_WORKSPACE": workspace},
        limits=limits,
        advice=advice,
    )
    tracking = RestTracking(uri, uri, connection, {})
    if is_databricks:
        tracking.default_experiment = None
    return tracking


def _address(uri: str, host: str | None) -> str:
    """The URI itself if it is a server's, else that of the workspace."""
    try:
        parts = urlsplit(uri)
        has_user, hostname, _ = "@" in parts.netloc, parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"The tracking URI is malformed: {error}. Write http://HOST:PORT, for example.") from None
    if has_user:
        raise UsageError("The tracking URI has credentials in it, which are not taken from there.")
    if "?" in uri or "#" in uri:
        # What is asked would become a part of the query: any page of any server could be asked for.
        raise UsageError("The tracking URI has a query or a fragment. Write http(s)://HOST, or http(s)://HOST/PREFIX.")
    if parts.scheme.lower() in {"http", "https"} and hostname:
        return uri
    if uri != "databricks":
        raise UsageError(
            f"The tracking URI '{uri}' is none that can be used here: write http(s)://HOST, or `databricks` for the "
            "workspace of DATABRICKS_HOST. Profiles and files are those of one machine."
        )
    if not host:
        raise UsageError("The tracking URI `databricks` needs DATABRICKS_HOST and DATABRICKS_TOKEN.")
    return (host if "://" in host else f"https://{host}").rstrip("/")


def is_off(variables: Mapping[str, str]) -> bool:
    """Has the user switched tracking off.

    Raises:
        UsageError: The setting is neither on nor off.
    """
    setting = variables.get(ENV_SWITCH, "").strip().lower()
    if setting not in {"", "on", "off"}:
        raise UsageError(f"{ENV_SWITCH} is '{setting}': it can be 'on' or 'off'.")
    return setting == "off"


def wanted_experiment(
    variables: Mapping[str, str], *, name: str | None = None, experiment_id: str | None = None
) -> dict[str, str]:
    """What to give ``Tracking.experiment``: what was asked for, else what the environment says.

    A project's command has MLFLOW_EXPERIMENT_ID in its environment, and may start runs of other experiments: what is
    asked for by name must not clash with it. Where the environment says both, the id counts.
    """
    if name is not None or experiment_id is not None:
        return {
            **({"name": name} if name is not None else {}),
            **({"experiment_id": experiment_id} if experiment_id is not None else {}),
        }
    if given := variables.get(ENV_EXPERIMENT_ID):
        return {"experiment_id": given}
    if given := variables.get(ENV_EXPERIMENT_NAME):
        return {"name": given}
    return {}


def _open(uri: str, variables: Mapping[str, str], directory: Path) -> Tracking:
    from mlp.tracking.databricks import is_databricks  # noqa: PLC0415 -- each kind is loaded for its own URIs

    scheme = urlsplit(uri).scheme.lower()
    if is_databricks(uri):
        return _databricks(uri, variables)
    if scheme in {"http", "https"} and not _needs_plugin(variables):
        return _server(uri, variables)
    return _package(_absolute(uri, directory))


def _server(uri: str, variables: Mapping[str, str]) -> Tracking:
    from mlp.tracking.connection import Connection  # noqa: PLC0415 -- each kind is loaded for its own URIs
    from mlp.tracking.rest import RestTracking  # noqa: PLC0415

    address, own = without_user(uri.rstrip("/"))
    credentials = Credentials.ambient(variables)
    passed_on = {}
    if not urlsplit(address).hostname:
        raise UsageError(f"The tracking URI '{address}' names no host.")
    if own.username is not None:
        password = own.password or (credentials.password if credentials.username == own.username else None)
        if password is None:
            raise UsageError(f"The tracking URI of {address} names a user without a password: set {ENV_PASSWORD}.")
        credentials = Credentials(own.username, password)
        passed_on = {ENV_USERNAME: own.username, ENV_PASSWORD: password}
    headers = credentials.headers
    connection = Connection(
        address,
        shown=address,
        authenticate=lambda: headers,
        tls=Tls.ambient(variables),
        secrets=credentials.secrets,
        variables=variables,
    )
    return RestTracking(address, address, connection, passed_on)


def _databricks(uri: str, variables: Mapping[str, str]) -> Tracking:
    from mlp.tracking.connection import Connection  # noqa: PLC0415 -- each kind is loaded for its own URIs
    from mlp.tracking.databricks import find_workspace  # noqa: PLC0415
    from mlp.tracking.rest import RestTracking  # noqa: PLC0415

    workspace = find_workspace(uri, variables)
    connection = Connection(
        workspace.host,
        shown=f"Databricks ({workspace.host})",
        authenticate=workspace.authenticate,
        tls=workspace.tls,
        secrets=workspace.secrets,
        variables=variables,
    )
    tracking = RestTracking(workspace.variables[ENV_TRACKING_URI], uri, connection, workspace.variables)
    tracking.default_experiment = None
    return tracking


def _package(uri: str) -> Tracking:
    from mlp.tracking.package import PackageTracking, has_mlflow  # noqa: PLC0415 -- each kind is loaded for its own

    shown = _PASSWORD.sub(r"\1:***@", uri)
    is_database = urlsplit(uri).scheme.partition("+")[0] in DATABASES
    if not has_mlflow(with_databases=is_database):
        package = "mlflow (mlflow-skinny has no databases)" if has_mlflow() else "mlflow"
        raise TrackingError(
            f"The tracking store {shown} needs the package {package}: pip install mlflow. Servers (http://, https://, "
            "databricks) need nothing; MLP_TRACKING=off runs without tracking."
        )
    return PackageTracking(uri, shown)


def _default(directory: Path) -> str | None:
    """What MLflow takes where nothing is configured, found without importing it."""
    from mlp.tracking.package import has_mlflow  # noqa: PLC0415 -- only where nothing is configured

    if not has_mlflow(with_databases=True):
        return None
    runs = directory / "mlruns"
    # Only a directory with an experiment in it; MLflow puts the artifacts of a database there as well.
    if runs.is_dir() and any(child.name.isdigit() and (child / "meta.yaml").exists() for child in runs.iterdir()):
        return runs.as_uri()
    return f"sqlite:///{quote(str(directory / 'mlflow.db'))}"


def _absolute(uri: str, directory: Path) -> str:
    """The project's command runs in another directory: what is relative here must not be there."""
    scheme = urlsplit(uri).scheme.lower()
    if scheme in {"", "file"}:
        path = unquote(urlsplit(uri).path) if scheme else uri
        return (directory / path).as_uri()
    memory = uri.startswith(("sqlite://:memory:", "sqlite:///:memory:"))
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////") and not memory:
        return f"sqlite:///{quote(str(directory))}/{uri.removeprefix('sqlite:///')}"
    return uri


def _needs_plugin(variables: Mapping[str, str]) -> bool:
    """Requests that are signed by what is installed beside MLflow: AWS' signature, Kubernetes' tokens."""
    signed = variables.get("MLFLOW_TRACKING_AWS_SIGV4", "").lower() in {"true", "1"}
    return signed or bool(variables.get("MLFLOW_TRACKING_AUTH"))
