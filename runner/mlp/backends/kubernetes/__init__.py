"""Runs in a Kubernetes cluster, each a ProjectRun that mlp's operator acts on.

Of the library, this package alone knows the Kubernetes client. `submit` starts a run; `Cluster` reads, lists and
deletes them; `KubernetesRun` is one of them with MLflow's verbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlp.backends.kubernetes.cluster import Cluster
from mlp.backends.kubernetes.control import Answer
from mlp.backends.kubernetes.log_lines import LogLine
from mlp.backends.kubernetes.log_sources import Wanted
from mlp.backends.kubernetes.logs import read_logs
from mlp.backends.kubernetes.pages import tracking_page
from mlp.backends.kubernetes.retrying import retry
from mlp.backends.kubernetes.submitted import KubernetesRun, raise_for_outcome
from mlp.backends.kubernetes.watching import Change, Listing, Selection
from mlp.backends.submission import Request, project_run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Answer",
    "Change",
    "Cluster",
    "KubernetesRun",
    "Listing",
    "LogLine",
    "Selection",
    "Wanted",
    "raise_for_outcome",
    "read_logs",
    "retry",
    "submit",
    "tracking_page",
]


def submit(
    uri: str,
    entry_point: str | None = None,
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    cluster: Cluster | None = None,
    **options: str,
) -> KubernetesRun:
    """Have a cluster run a project.

    Args:
        uri: The project's Git URI; ``#subdirectory`` may follow.
        entry_point: An entry point, or a script's path in the project; "main" if None.
        version: A branch, tag or commit; the default branch if None.
        parameters: Values by name; each is turned into text.
        name: The ProjectRun's name; one is made if None.
        cluster: The cluster; the kubeconfig's current one if None.
        options: The other fields of mlp.backends.submission.Request.

    Returns:
        The run, under way.

    Raises:
        UsageError: Something that no ProjectRun can have.
        ClusterError: The cluster cannot be reached, or does not allow it.
    """
    texts = {key: str(value) for key, value in (parameters or {}).items()}
    request = Request(uri=uri, entry_point=entry_point, version=version, parameters=texts, **options)
    manifest = project_run(request, name=name)
    cluster = cluster or Cluster.connect()
    return KubernetesRun(cluster, cluster.create(manifest)["metadata"]["name"])
