"""What a command line says of Databricks, as fields of a ProjectRun; and what it cannot say beside that.

The operator submits the run: so here is no workspace and no credential, only the name of the Secret that has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.backends.submission import Request

__all__ = ["COMPUTE_FIELDS", "backend_fields", "refuse_pod_options"]

Object = dict[str, Any]

COMPUTE_FIELDS: Final = ("cluster", "serverless", "libraries")
"""Fields of spec.backend.databricks that one cluster spec says together."""

_OF_MANIFESTS: Final = {
    "host": "--databricks-host",
    "upload_to": "spec.backend.databricks.uploadTo",
    "project_source": "spec.backend.databricks.projectSource",
    "git_provider": "spec.backend.databricks.gitProvider",
    "run_as": "spec.backend.databricks.runAs",
    "tags": "spec.backend.databricks.tags",
    "timeout_seconds": "spec.backend.databricks.timeoutSeconds",
    "tracking_uri": "spec.tracking.uri",
}
"""What `mlp run -c` takes beside the cluster, and what says it of a run that the operator submits."""

_OF_PODS: Final = {
    "image": "--image",
    "cpu": "--cpu",
    "memory": "--memory",
    "pod": "-P NAME=@FILE",
    "data_secret": "--data-secret",
    "environment_secret": "--env-secret",
    "cache_claim": "--cache-claim",
    "cache_policy": "--cache-policy",
    "queue": "--queue",
    "priority": "--priority-class",
}
"""What is for runs in pods: fields of a request, and the options that fill them."""


def backend_fields(request: Request) -> Object:
    """The fields of spec.backend.databricks that are asked for.

    Raises:
        UsageError: The cluster spec is none.
    """
    fields: Object = {
        "host": request.databricks_host,
        "secretRef": {"name": request.databricks_secret} if request.databricks_secret else None,
        "serviceAccountName": request.service_account,
        **({} if request.cluster_spec is None else _compute_fields(request.cluster_spec)),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _compute_fields(cluster_spec: Mapping[str, Any]) -> Object:
    from mlp.backends.databricks.compute import read_compute  # noqa: PLC0415 -- few runs are for Databricks

    if elsewhere := [key for key in _OF_MANIFESTS if cluster_spec.get(key) is not None]:
        raise UsageError(
            f"--cluster-spec has {', '.join(map(repr, elsewhere))}, and says only what the run gets to run "
            "on. Of a run that the operator submits, a manifest (-f FILE) or an option says that: "
            f"{', '.join(_OF_MANIFESTS[key] for key in elsewhere)}."
        )
    compute = read_compute(cluster_spec)
    libraries = [dict(library) for library in compute.libraries]
    fields: Object = {"libraries": libraries} if libraries else {}
    if compute.serverless:
        version = compute.environment_version
        return {**fields, "serverless": {} if version is None else {"environmentVersion": version}}
    if compute.existing_cluster_id is not None:
        return {**fields, "cluster": {"existingClusterId": compute.existing_cluster_id}}
    return {**fields, "cluster": {"newCluster": dict(compute.new_cluster or {})}}


def refuse_pod_options(request: Request, project: Mapping[str, Any]) -> None:
    """Refuse, for a run on Databricks, what shapes pods.

    Args:
        request: What is asked for.
        project: The run's spec.project.

    Raises:
        UsageError: The message names the options.
    """
    # What lies in a store is fetched by the operator, with that Secret.
    allowed = {"data_secret"} if (project.get("bundle") or {}).get("uri") else set()
    given = [option for name, option in _OF_PODS.items() if getattr(request, name) and name not in allowed]
    if given:
        verb = "is" if len(given) == 1 else "are"
        raise UsageError(
            f"{', '.join(given)} {verb} for runs in pods, and this one is for Databricks. Leave that out; what the run "
            "gets there is said by --cluster-spec."
        )
