"""Creating a run together with what it owns, so that nothing is left behind whatever goes wrong in between.

The run comes first: what belongs to it names it as its owner from the beginning, and goes when it goes. The operator
waits for what is not there yet.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import ClusterError, ClusterUnreachable, MlpError, RunNotFound
from mlp.resources.names import API_VERSION, KIND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.backends.kubernetes.cluster import Cluster
    from mlp.backends.sending import Submission

__all__ = ["send"]

Object = dict[str, Any]

_CONFIG_MAPS: Final = "configmaps"


def send(cluster: Cluster, submission: Submission, *, dry_run: bool = False) -> Object:
    """Create a run and its ConfigMaps.

    Args:
        cluster: Where. The run's own namespace counts before the cluster's.
        submission: The run, and what it owns.
        dry_run: Have the server check everything and store nothing.

    Returns:
        The run as the server has it.

    Raises:
        UsageError: The server finds something invalid.
        ClusterError: The name is taken, or creating is not allowed. The run is gone again then.
        ClusterUnreachable: There was no answer. Whether there is a run then, the message says.
    """
    try:
        run = cluster.create(submission.run, dry_run=dry_run)
    except ClusterUnreachable as error:
        # What was not answered may have been done. Who sends it again would have two.
        metadata = submission.run["metadata"]
        if dry_run or not _is_there(cluster, metadata):
            raise
        name, namespace = metadata["name"], metadata.get("namespace") or cluster.namespace
        raise ClusterUnreachable(
            f"{error}\nNevertheless there is a ProjectRun '{name}', perhaps without all that belongs to it. Look at it "
            f"before you submit it again (mlp describe {name} -n {namespace}), or delete it."
        ) from None
    with _within(cluster, run["metadata"]["namespace"]):
        try:
            for config_map in submission.config_maps:
                cluster.core.create(_CONFIG_MAPS, _owned(config_map, run), dry_run=dry_run)
        except BaseException as error:
            if not dry_run:
                _undo(cluster, run, error)
            raise
    return run


def _is_there(cluster: Cluster, metadata: Mapping[str, Any]) -> bool:
    """Whether there is a run of that name, whoever has made it."""
    if "name" not in metadata:
        return False
    with _within(cluster, metadata.get("namespace") or cluster.namespace):
        try:
            cluster.get(metadata["name"])
        except ClusterError:
            return False
    return True


@contextlib.contextmanager
def _within(cluster: Cluster, namespace: str) -> Iterator[None]:
    before, cluster.namespace = cluster.namespace, namespace
    try:
        yield
    finally:
        cluster.namespace = before


def _owned(manifest: Mapping[str, Any], run: Mapping[str, Any]) -> Object:
    """An object that goes when its run goes."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": run["metadata"]["name"],
        "uid": run["metadata"]["uid"],
        "controller": False,
        # Deleting the run in the foreground must not wait for it: that takes a right that not everybody has.
        "blockOwnerDeletion": False,
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}


def _undo(cluster: Cluster, run: Mapping[str, Any], error: BaseException) -> None:
    """Delete a run that lacks what belongs to it."""
    name, namespace = run["metadata"]["name"], run["metadata"]["namespace"]
    what = f"What ProjectRun '{name}' was to bring along could not be created: {error}"
    try:
        with contextlib.suppress(RunNotFound):
            cluster.delete(name)
    except MlpError as failure:
        raise ClusterError(
            f"{what}\nThe run could not be deleted either ({failure}). Do it with: mlp delete {name} -n {namespace}"
        ) from error
    if isinstance(error, MlpError):
        raise ClusterError(f"{what}\nThe run was deleted again.") from error
