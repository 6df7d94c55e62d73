"""The part of a ProjectRun that shapes its run on Databricks.

Clusters and libraries are passed on to the Jobs API as they stand: Databricks adds to them faster than a copy here
could follow, and it validates them itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from mlp.resources.model import KeyedBy, Raw, Rule, Seconds, SpecModel, bounded, exactly_one
from mlp.resources.pod import LocalObjectReference, Name
from mlp.resources.source import cel_literal, matches, no_credentials

__all__ = ["DatabricksBackend", "DatabricksCluster", "DatabricksRunAs", "DatabricksServerless", "DatabricksTag"]


_BY_IDENTITY = "has(self.auth) && self.auth == 'WorkloadIdentity'"
_HOST = r"^https?://[^\s@]+$"
_DIRECTORY = r"^(/Volumes/[^/]+/[^/]+/[^/]+|/Workspace/[^/]+|dbfs:/[^/]+)(/.*)?$"


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


class DatabricksRunAs(SpecModel):
    """Whose rights the run has in the workspace: exactly one of a user and a service principal."""

    user_name: Annotated[str, bounded(256, shortest=1)] | None = None
    """A user's e-mail address."""
    service_principal_name: Annotated[str, bounded(256, shortest=1)] | None = None
    """A service principal's application id."""

    rules = (exactly_one("user_name", "service_principal_name"),)


class DatabricksTag(SpecModel):
    """A tag of a new cluster."""

    name: Annotated[str, bounded(127, shortest=1)]
    """The tag's name."""
    value: Annotated[str, bounded(255)]
    """The tag's value."""


def _of_identity(field: str) -> Rule:
    """The rule that a field goes with WorkloadIdentity alone, given by its Python name."""
    alias = to_camel(field)
    return Rule(
        f"!has(self.{alias}) || ({_BY_IDENTITY})",
        f"{alias} goes with auth WorkloadIdentity",
        lambda backend: getattr(backend, field) is None or backend.auth == "WorkloadIdentity",
        field=alias,
    )


class DatabricksBackend(SpecModel):
    """Where and how the run is submitted to Databricks."""

    host: Annotated[str, bounded(2048)] | None = None
    """The workspace's URL; the key "host" of the Secret if unset."""
    secret_ref: LocalObjectReference | None = None
    """A Secret with what the way of authentication needs: token, or clientId and clientSecret; WorkloadIdentity takes
    none."""
    auth: Literal["Token", "OAuthM2M", "WorkloadIdentity"] | None = None
    """How to authenticate: a personal access token, a service principal's OAuth secret, or a ServiceAccount token that
    Databricks trusts. Unset: what the Secret's keys allow."""
    service_account_name: Name | None = None
    """For WorkloadIdentity: the ServiceAccount in the run's namespace whose token is exchanged; "default" if unset."""
    client_id: Annotated[str, bounded(256, shortest=1)] | None = None
    """For WorkloadIdentity: the application id of the service principal whose federation policy trusts that
    ServiceAccount; unset for a policy of the whole account."""
    audience: Annotated[str, bounded(2048, shortest=1)] | None = None
    """For WorkloadIdentity: the audience of the token, as the federation policy names it; the workspace's token
    endpoint (HOST/oidc/v1/token) if unset."""
    run_as: DatabricksRunAs | None = None
    """Whose rights the run has; those of whoever submits it if unset."""
    cluster: DatabricksCluster | None = None
    """The cluster that the run gets."""
    serverless: DatabricksServerless | None = None
    """Run on serverless compute instead of a cluster."""
    libraries: Annotated[tuple[Raw, ...], Field(max_length=64)] | None = None
    """Libraries to install on the cluster, as in the Jobs API."""
    tags: Annotated[tuple[DatabricksTag, ...], Field(max_length=45), KeyedBy("name")] | None = None
    """Tags of the new cluster (its custom_tags), which the cloud's bills show too."""
    project_source: Literal["Archive", "Git"] = "Archive"
    """How the project gets there. Archive: the operator fetches it and uploads it. Git: the workspace fetches the
    commit itself, with the Git credential that the running identity has there."""
    git_provider: (
        Literal[
            "gitHub",
            "bitbucketCloud",
            "gitLab",
            "azureDevOpsServices",
            "gitHubEnterprise",
            "bitbucketServer",
            "gitLabEnterpriseEdition",
            "awsCodeCommit",
        ]
        | None
    ) = None
    """For projectSource Git: who serves the repository; guessed from its host if unset."""
    upload_to: Annotated[str, bounded(1024, pattern=_DIRECTORY)] | None = None
    """A directory for what is uploaded: in a volume of Unity Catalog (/Volumes/CATALOG/SCHEMA/VOLUME/…), among the
    workspace's files (/Workspace/…, up to 10 MB a file), or on DBFS (dbfs:/…), which newer workspaces do not have. The
    directory .mlp in the home of whoever submits if unset."""
    timeout_seconds: Seconds | None = None
    """The run's own limit on Databricks; none if unset."""

    rules = (
        exactly_one("cluster", "serverless"),
        no_credentials(
            "host", "credentials must not stand in the host; name a Secret in spec.backend.databricks.secretRef"
        ),
        Rule(
            f"!has(self.host) || self.host.matches({cel_literal(_HOST)})",
            "the host must be the workspace's URL: https://HOST",
            lambda backend: backend.host is None or matches(_HOST, backend.host),
            field="host",
            forbids=True,
        ),
        Rule(
            "!has(self.tags) || (has(self.cluster) && has(self.cluster.newCluster))",
            "tags are those of a new cluster: give cluster.newCluster, or leave them out",
            lambda backend: not backend.tags or backend.makes_a_cluster,
            field="tags",
        ),
        *map(_of_identity, ("service_account_name", "client_id", "audience")),
        Rule(
            f"!({_BY_IDENTITY}) || has(self.host)",
            "auth WorkloadIdentity reads no Secret, so it needs the workspace's URL in host",
            lambda backend: backend.auth != "WorkloadIdentity" or backend.host is not None,
            field="host",
        ),
        Rule(
            f"({_BY_IDENTITY}) != has(self.secretRef)",
            "name the Secret with the credentials in secretRef, or use auth WorkloadIdentity, which takes none",
            lambda backend: (backend.auth == "WorkloadIdentity") != (backend.secret_ref is not None),
            field="secretRef",
        ),
        Rule(
            "!has(self.gitProvider) || self.projectSource == 'Git'",
            "gitProvider goes with projectSource Git",
            lambda backend: backend.git_provider is None or backend.project_source == "Git",
            field="gitProvider",
        ),
    )

    @property
    def makes_a_cluster(self) -> bool:
        """Whether the run gets a cluster of its own."""
        return self.cluster is not None and self.cluster.new_cluster is not None
