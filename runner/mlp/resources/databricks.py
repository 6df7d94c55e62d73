"""The part of a ProjectRun that shapes its run on Databricks.

Clusters and libraries are passed on to the Jobs API as they stand: Databricks adds to them faster than a copy here
could follow, and it validates them itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlp.resources.model import Raw, Seconds, SpecModel, bounded, exactly_one
from mlp.resources.pod import LocalObjectReference

__all__ = ["DatabricksBackend", "DatabricksCluster", "DatabricksServerless"]


class DatabricksCluster(SpecModel):
    """The cluster that the run gets: exactly one of a new and an existing one."""

    new_cluster: Raw | None = None
    """A cluster made for this run, as in the Jobs API (new_cluster), with the API's own key names."""
    existing_cluster_id: Annotated[str, bounded(256, shortest=1)] | None = None
    """The id of a cluster that exists."""

    rules = (exactly_one("new_cluster", "existing_cluster_id"),)


class DatabricksServerless(SpecModel):
    """Serverless compute."""

    environment_version: Annotated[str, bounded(16, shortest=1)] | None = None
    """The version of the serverless environment; the workspace's newest if unset."""


class DatabricksBackend(SpecModel):
    """Where and how the run is submitted to Databricks."""

    host: Annotated[str, bounded(2048, pattern=r"^https?://[^\s@]+$")] | None = None
    """The workspace's URL; the key "host" of the Secret if unset."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with what the way of authentication needs: token, or clientId and clientSecret."""
    auth: Literal["Token", "OAuthM2M", "WorkloadIdentity"] | None = None
    """How to authenticate: a personal access token, a service principal's OAuth secret, or a ServiceAccount token that
    Databricks trusts. Unset: what the Secret's keys allow."""
    cluster: DatabricksCluster | None = None
    """The cluster that the run gets."""
    serverless: DatabricksServerless | None = None
    """Run on serverless compute instead of a cluster."""
    libraries: Annotated[tuple[Raw, ...], Field(max_length=64)] | None = None
    """Libraries to install on the cluster, as in the Jobs API."""
    timeout_seconds: Seconds | None = None
    """The run's own limit on Databricks; none if unset."""

    rules = (exactly_one("cluster", "serverless"),)
