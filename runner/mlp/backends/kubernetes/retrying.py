"""A run that has ended, once more: the ProjectRun that repeats another.

A ProjectRun is one execution, so a repetition is a new one with the same spec. It runs the same commit, also where the
other named a branch that has gone on; and what was sent along with the other is copied, for it goes with its owner.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.kubernetes.sending import send
from mlp.backends.sending import Submission
from mlp.backends.submission import suffixed
from mlp.errors import ClusterError, UsageError
from mlp.resources import ProjectRun
from mlp.resources.names import API_VERSION, KIND, RETRY_LABEL, RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["repetition", "retry"]

Object = dict[str, Any]

_OF_ONE_EXECUTION: Final = frozenset({"shutdown", "suspend"})
_BUNDLE: Final = "configMapName"
_REFERENCES: Final = frozenset({"configMap", "configMapRef", "configMapKeyRef"})
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
    copies: dict[str, Object] = {}
    for place, key in _config_maps(manifest["spec"]):
        given = place[key]
        if given not in copies and (owned := _owned(cluster, given, old, is_project=key == _BUNDLE)) is not None:
            copies[given] = _copied(owned, run=manifest["metadata"]["name"])
        if given in copies:
            place[key] = copies[given]["metadata"]["name"]
    return send(cluster, Submission(manifest, tuple(copies.values())))


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
    spec = {key: copy.deepcopy(value) for key, value in old["spec"].items() if key not in _OF_ONE_EXECUTION}
    if run.spec.project.uri is not None and not latest and run.status.source and run.status.source.commit:
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


def _config_maps(part: object, within: str = "") -> Iterator[tuple[Object, str]]:
    """Every place in a spec that names a ConfigMap: the object, and the key in it."""
    if isinstance(part, dict):
        if within in _REFERENCES and "name" in part:
            yield part, "name"
        if _BUNDLE in part:
            yield part, _BUNDLE
        for key, value in part.items():
            yield from _config_maps(value, key)
    elif isinstance(part, list):
        for item in part:
            yield from _config_maps(item, within)


def _owned(cluster: Cluster, name: str, run: Object, *, is_project: bool) -> Object | None:
    """A ConfigMap that goes with a run; None if it is somebody's own.

    Raises:
        ClusterError: The one with the project is gone.
    """
    found = cluster.core.get("configmaps", name)
    if found is None and is_project:
        raise ClusterError(
            f"The ConfigMap '{name}' is gone, which held the project of '{run['metadata']['name']}'. Submit the "
            "project's directory again."
        )
    owners = found["metadata"].get("ownerReferences", ()) if found else ()
    return found if any(owner["uid"] == run["metadata"]["uid"] for owner in owners) else None


def _copied(config_map: Object, *, run: str) -> Object:
    kept: Object = {key: config_map[key] for key in ("data", "binaryData", "immutable") if key in config_map}
    name = suffixed(_SUFFIX.sub("", config_map["metadata"]["name"]))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {**config_map["metadata"].get("labels", {}), RUN_LABEL: run}},
        **kept,
    }
