"""Where a run in a cluster is recorded, and below which other run: what this machine knows of it, as fields of a spec.

The operator makes the run in MLflow, so the tracking server has to be one that the cluster reaches. A server on this
machine, a database or a directory is none; the operator's own then counts, and somebody is told.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlp.tracking.names import ENV_EXPERIMENT_ID, ENV_EXPERIMENT_NAME, ENV_TRACKING_URI, PARENT_RUN_ID, USER

if TYPE_CHECKING:
    from mlp.backends.kubernetes.driver import Driver
    from mlp.backends.local import Request

__all__ = ["KUBE_TRACKING_URI", "reachable", "recording_of"]

Object = dict[str, Any]

KUBE_TRACKING_URI: Final = "KUBE_MLFLOW_TRACKING_URI"
"""MLflow's variable for the tracking server as pods reach it, where that is another address than here."""

_log = logging.getLogger(__name__)


def recording_of(request: Request, driver: Driver | None, said: Mapping[str, Any]) -> Object:
    """The fields ``tracking`` and ``experiment`` that a call means.

    Args:
        request: What is asked for.
        driver: The run that this call is made in.
        said: What the backend's configuration says of the spec. What this machine's environment says comes after it.

    Raises:
        TrackingError: The experiment's id cannot be looked up.
    """
    uri = None if _said(said, "tracking", "uri") else _tracking_uri(request, driver)
    experiment = {"name": _experiment(request, driver, said), "runName": request.run_name}
    tags = dict(request.tags)
    if driver is not None or uri is not None:
        # Another server does not know the run that is active here.
        tags = {**_tags(driver), **tags}
    result: Object = {"tracking": {"uri": uri}} if uri else {}
    fields: Object = {key: value for key, value in experiment.items() if value}
    if tags:
        fields["tags"] = [{"name": name, "value": value} for name, value in tags.items()]
    return {**result, "experiment": fields} if fields else result


def reachable(uri: str) -> bool:
    """Whether a tracking server may be reached from another machine."""
    parts = urlsplit(uri)
    if parts.scheme in {"databricks", "databricks-uc"} or uri in {"databricks", "databricks-uc"}:
        return True
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in {"http", "https"} or not host or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return not (address.is_loopback or address.is_unspecified)


def _tracking_uri(request: Request, driver: Driver | None) -> str | None:
    from mlp.tracking.credentials import without_user  # noqa: PLC0415

    variables = os.environ
    if given := variables.get(KUBE_TRACKING_URI):
        return given
    uri = request.tracking_uri or variables.get(ENV_TRACKING_URI)
    if not uri or (driver is not None and uri == driver.tracking_uri):
        return None
    if not reachable(uri):
        _log.warning(
            "No pod reaches the tracking store %s: the run is recorded where the operator's settings say. Name a "
            "server that pods reach with 'tracking_uri' in the backend's configuration, or with %s.",
            without_user(uri)[0] if "://" in uri else uri,
            KUBE_TRACKING_URI,
        )
        return None
    # A user and a password in it are for this machine; a run has them from spec.tracking.secretRef.
    return without_user(uri)[0] if "://" in uri else uri


def _said(said: Mapping[str, Any], field: str, key: str) -> bool:
    """Whether a configuration has a field. What is no object there is refused later, with its name."""
    value = said.get(field)
    return isinstance(value, Mapping) and bool(value.get(key))


def _experiment(request: Request, driver: Driver | None, said: Mapping[str, Any]) -> str | None:
    if request.experiment_name:
        return request.experiment_name
    variables = os.environ
    experiment_id = request.experiment_id
    if experiment_id is None:
        if _said(said, "experiment", "name"):
            return None
        own = None if driver is None else driver.experiment_id
        inherited = variables.get(ENV_EXPERIMENT_ID)
        if inherited is None or inherited == own:
            return variables.get(ENV_EXPERIMENT_NAME)
        experiment_id = inherited
    from mlp.tracking import connect  # noqa: PLC0415 -- only an id has to be looked up

    store = connect(request.tracking_uri)
    if store is None:
        return None
    try:
        return store.experiment_name(experiment_id)
    finally:
        store.close()


def _tags(driver: Driver | None) -> Mapping[str, str]:
    from mlp.backends.local.recording import parent_run  # noqa: PLC0415
    from mlp.tracking import default_user  # noqa: PLC0415

    own = None if driver is None else driver.mlflow_run_id
    # In a pod the user is the image's, and nobody.
    tags = {PARENT_RUN_ID: parent_run() or own, USER: default_user() if driver is None else None}
    return {name: value for name, value in tags.items() if value}
