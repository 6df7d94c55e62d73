"""A run that has ended, once more: the ProjectRun that repeats another.

A ProjectRun is one execution, so a repetition is a new one with the same spec. It runs the same commit, also where the
other named a branch that has gone on; and what was sent along with the other is copied, for it goes with its owner.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.submission import suffixed
from mlp.errors import ClusterError, UsageError
from mlp.resources import ProjectRun
from mlp.resources.names import API_VERSION, KIND, RETRY_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["repetition", "retry"]

Object = dict[str, Any]

_OF_ONE_EXECUTION: Final = frozenset({"shutdown", "suspend"})
_OF_DEPLOYMENTS: Final = re.compile(
    r"app\.kubernetes\.io/(instance|managed-by)|argocd\.argoproj\.io/.*|(kustomize|helm)\.toolkit\.fluxcd\.io/.*"
)
"""Labels by which GitOps tools know what is theirs: they would delete a run that is not in their repository."""
_SUFFIX: Final = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}\Z")
"""What `suffixed` has appended."""


def retry(cluster: Cluster, name: str, *, new_name: str | None = None, latest: bool = False) -> Object:
    """Run once more what a run has run.

    Args:
        cluster: Where it is, and where the new one will be.
        name: The ended run.
        new_name: The new run's name; the old one with another ending if None.
        latest: Resolve the version anew, instead of running the same commit.

    Returns:
        The new ProjectRun, as the server has it.

    Raises:
        RunNotFound: There is no such run.
        UsageError: It has not ended.
        ClusterError: What was sent along with it is gone, or the cluster does not allow it.
    """
    old = cluster.get(name)
    manifest = repetition(old, name=new_name, latest=latest)
    bundle = _owned_bundle(cluster, old)
    if bundle is None:
        return cluster.create(manifest)
    copy = _named_after(bundle["metadata"]["name"], name, manifest["metadata"]["name"])
    manifest["spec"]["project"]["bundle"]["configMapName"] = copy
    # The run first: what it owns can then never be left behind. The operator waits for it.
    created = cluster.create(manifest)
    cluster.core.create("configmaps", _copied(bundle, copy, owner=created))
    return created


def repetition(old: Mapping[str, Any], *, name: str | None = None, latest: bool = False) -> Object:
    """The manifest of a run that repeats another.

    Args:
        old: The other, as the server has it.
        name: The new one's name; made of the old one's if None.
        latest: Leave the version as it was written.

    Raises:
        UsageError: The other has not ended.
    """
    run = ProjectRun.read(old)
    if not run.finished:
        raise UsageError(
            f"'{run.name}' has not ended. Cancel it first, or submit another run beside it with 'mlp submit'."
        )
    spec = {key: value for key, value in old["spec"].items() if key not in _OF_ONE_EXECUTION}
    spec["project"] = dict(spec["project"])
    if run.spec.project.bundle is not None:
        spec["project"]["bundle"] = dict(spec["project"]["bundle"])
    elif not latest and run.status.source and run.status.source.commit:
        spec["project"]["version"] = run.status.source.commit
    labels = {key: value for key, value in run.metadata.labels.items() if not _OF_DEPLOYMENTS.fullmatch(key)}
    metadata = {"name": name or suffixed(_SUFFIX.sub("", run.name))}
    if run.namespace:
        metadata["namespace"] = run.namespace
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {**metadata, "labels": {**labels, RETRY_LABEL: run.name}},
        "spec": spec,
    }


def _owned_bundle(cluster: Cluster, old: Object) -> Object | None:
    """The ConfigMap with the project of a run, where it goes with that run."""
    name = (old["spec"]["project"].get("bundle") or {}).get("configMapName")
    if name is None:
        return None
    found = cluster.core.get("configmaps", name)
    if found is None:
        raise ClusterError(
            f"The ConfigMap '{name}' is gone, which held the project of '{old['metadata']['name']}'. Submit the "
            "project's directory again."
        )
    owners = found["metadata"].get("ownerReferences", ())
    return found if any(owner["uid"] == old["metadata"]["uid"] for owner in owners) else None


def _named_after(copied: str, old: str, new: str) -> str:
    """A name for the copy that stands to the new run as the other's to the old one."""
    return f"{new}{copied.removeprefix(old)}" if copied.startswith(old) else f"{new}-{copied}"


def _copied(config_map: Object, name: str, *, owner: Object) -> Object:
    metadata = owner["metadata"]
    reference = {"apiVersion": API_VERSION, "kind": KIND, "name": metadata["name"], "uid": metadata["uid"]}
    kept: Object = {key: config_map[key] for key in ("data", "binaryData", "immutable") if key in config_map}
    labels = config_map["metadata"].get("labels", {})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [{**reference, "controller": True}]},
        **kept,
    }
