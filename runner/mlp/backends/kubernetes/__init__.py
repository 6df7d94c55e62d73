"""Runs in a Kubernetes cluster, each a ProjectRun that mlp's operator acts on.

Of the library, this package alone knows the Kubernetes client. `submit` starts a run; `Cluster` reads, lists and
deletes them; `KubernetesRun` is one of them with MLflow's verbs.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from mlp.backends.kubernetes.cluster import Cluster
from mlp.backends.kubernetes.control import Answer
from mlp.backends.kubernetes.log_lines import LogLine
from mlp.backends.kubernetes.log_sources import Wanted
from mlp.backends.kubernetes.logs import read_logs
from mlp.backends.kubernetes.pages import tracking_page
from mlp.backends.kubernetes.retrying import retry
from mlp.backends.kubernetes.sending import send
from mlp.backends.kubernetes.submitted import KubernetesRun, raise_for_outcome
from mlp.backends.kubernetes.watching import Change, Listing, Selection
from mlp.backends.sending import STAGING_VARIABLE, Luggage
from mlp.backends.submission import Request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
    "send",
    "submit",
    "tracking_page",
]

_log = logging.getLogger(__name__)


def submit(  # noqa: PLR0913 -- each says something else
    uri: str,
    entry_point: str | None = None,
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    files: Mapping[str, Path] | None = None,
    staging: str | None = None,
    bundle_limit: int | None = None,
    name: str | None = None,
    cluster: Cluster | None = None,
    **options: Any,  # noqa: ANN401 -- as Request has them
) -> KubernetesRun:
    """Have a cluster run a project.

    Args:
        uri: The project's Git URI, or a directory of this machine, which is packed and sent; ``#subdirectory`` may
            follow.
        entry_point: An entry point, or a script's path in the project; "main" if None.
        version: A branch, tag or commit; the default branch if None.
        parameters: Values by name; each is turned into text.
        files: Files of this machine that go along, by the name of the parameter that gets each.
        staging: ``s3://BUCKET/PREFIX`` for directories that are too large for a ConfigMap; None for MLP_STAGING.
        bundle_limit: Bytes that a packed directory may have at most.
        name: The ProjectRun's name; one is made if None.
        cluster: The cluster; the kubeconfig's current one if None.
        options: The other fields of mlp.backends.submission.Request.

    Returns:
        The run, under way.

    Raises:
        UsageError: Something that no ProjectRun can have.
        SourceError: The directory cannot be packed, or is too large.
        ProjectError: It is no project, or not with these parameters.
        DataError: It cannot be staged.
        ClusterError: The cluster cannot be reached, or does not allow it.
    """
    texts = {key: str(value) for key, value in (parameters or {}).items()}
    request = Request(uri=uri, entry_point=entry_point, version=version, parameters=texts, **options)
    luggage = Luggage(request, files=files, staging=staging or os.environ.get(STAGING_VARIABLE), limit=bundle_limit)
    submission = luggage.new(name=name)
    for line in luggage.said():
        _log.info("%s", line)
    luggage.stage()
    cluster = cluster or Cluster.connect()
    return KubernetesRun(cluster, send(cluster, submission)["metadata"]["name"])
