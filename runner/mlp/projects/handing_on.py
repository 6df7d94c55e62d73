"""What a run has from the run that submits it: its record's place and parent, and access to what that could reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlp.projects.requests import local_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.backends.kubernetes.driver import Driver

__all__ = ["handed_on"]

Object = dict[str, Any]


def handed_on(manifest: Mapping[str, Any], driver: Driver) -> Object:
    """A ProjectRun as its driver submits it. What the manifest says itself takes precedence.

    Args:
        manifest: The run.
        driver: The run whose command this process is.

    Raises:
        TrackingError: The experiment's id cannot be looked up.
    """
    from mlp.backends.kubernetes.configuration import merged  # noqa: PLC0415 -- with the client, a third of a second
    from mlp.projects.recording import recording_of  # noqa: PLC0415

    spec, metadata = manifest["spec"], manifest["metadata"]
    access = {"project": driver.access_to(spec["project"].get("uri") or "")}
    to_databricks = (spec.get("backend") or {}).get("type") == "Databricks"
    own = driver.spec(to_databricks=to_databricks)
    from_driver = merged(merged(own, access), recording_of(local_request(""), driver, spec))
    result = {**manifest, "spec": merged(from_driver, spec)}
    if metadata.get("namespace", driver.namespace) == driver.namespace:
        owners = [*(metadata.get("ownerReferences") or ()), driver.owner_reference()]
        result["metadata"] = {**metadata, "ownerReferences": owners}
    return result
