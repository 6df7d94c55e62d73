"""The run whose command this process is, where it starts further runs: a driver, and what its runs have from it.

A driver's pod holds two names and a ServiceAccount's token; everything else stands in its own ProjectRun, which it may
read. So the runs that it starts take place beside it, are recorded where it is, reach what it could reach, and have the
code that it has. Rights of its own (the ServiceAccount) it does not hand on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import ClusterError, ClusterUnreachable, RunNotFound
from mlp.resources import names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["RIGHTS", "Driver", "driver_of", "is_driver"]

Object = dict[str, Any]

_RECORD: Final = (("tracking",), ("experiment", "name"))
_OF_PODS: Final = (
    ("data",),
    ("environment", "secretRef"),
    ("environment", "cache"),
    ("backend", "kubernetes", "imagePullSecrets"),
    ("queueName",),
    ("queuePriorityClassName",),
)
"""Fields of a driver's spec that its runs have too, unless they are given others: all of them, or those in pods."""
_OF_THE_REPOSITORY: Final = ("authSecretRef", "submodules", "lfs")
RIGHTS: Final = (
    "A program that starts runs from within a run needs a ServiceAccount that may do so: name it in "
    "spec.backend.kubernetes.serviceAccountName. deploy/driver-rbac.yaml makes one."
)


@dataclass(frozen=True, slots=True)
class Driver:
    """A ProjectRun, seen by its own command.

    Attributes:
        run: The object, as the cluster has it.
    """

    run: Mapping[str, Any]

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.run["metadata"]["namespace"])

    @property
    def mlflow_run_id(self) -> str | None:
        """Its run in MLflow, the parent of those that it starts."""
        return (self._status.get("mlflow") or {}).get("runId")

    @property
    def experiment_id(self) -> str | None:
        """The experiment that it is recorded in."""
        return (self._status.get("mlflow") or {}).get("experimentId")

    @property
    def tracking_uri(self) -> str | None:
        """The tracking server that it is recorded at."""
        return (self._status.get("mlflow") or {}).get("uri")

    def spec(self, *, to_databricks: bool = False) -> Object:
        """What a run that it starts has from it.

        Args:
            to_databricks: Whether that one is for Databricks, where nothing of a pod has a meaning.
        """
        result: Object = {}
        for path in _RECORD if to_databricks else (*_RECORD, *_OF_PODS):
            value: Any = self.run["spec"]
            for key in path:
                value = (value or {}).get(key)
            if value:
                place = result
                for key in path[:-1]:
                    place = place.setdefault(key, {})
                place[path[-1]] = value
        return result

    def owner_reference(self) -> Object:
        """What makes a run go when its driver is deleted."""
        metadata = self.run["metadata"]
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "blockOwnerDeletion": False,
        }

    def project_in(self, directory: Path, version: str | None = None) -> Object | None:
        """The project in a directory as another pod can fetch it, where the driver's own repository has it.

        Args:
            directory: A directory on the driver's disk.
            version: The version of it that is wanted; None for what lies there.

        Returns:
            Fields of spec.project; None if it is no part of the repository, or not what the driver's commit says.
        """
        project, commit = self.run["spec"]["project"], (self._status.get("source") or {}).get("commit")
        if not project.get("uri") or not commit:
            return None
        from mlp.source.checkout import checkout_of  # noqa: PLC0415 -- only drivers that run their own project need it

        found = checkout_of(directory)
        if found is None or found.commit != commit or (found.modified and version is None):
            return None
        uri = project["uri"].partition("#")[0]
        subdirectory = {"subdirectory": found.subdirectory} if found.subdirectory else {}
        return {"uri": uri, "version": version or commit, **subdirectory, **self.access_to(uri)}

    def access_to(self, uri: str) -> Object:
        """How the driver's own repository is fetched, for a run of the same one; nothing for any other."""
        project = self.run["spec"]["project"]
        if uri.partition("#")[0] != (project.get("uri") or "").partition("#")[0]:
            return {}
        return {key: project[key] for key in _OF_THE_REPOSITORY if key in project}

    @property
    def _status(self) -> Mapping[str, Any]:
        return self.run.get("status") or {}


def is_driver() -> bool:
    """Whether this process is the command of a run in a cluster."""
    return bool(os.environ.get(names.RUN_VARIABLE) and os.environ.get(names.NAMESPACE_VARIABLE))


def driver_of(cluster: Cluster) -> Driver:
    """The run that this process is the command of.

    Args:
        cluster: The cluster of this process's own pod.

    Raises:
        ClusterError: The run cannot be read, or is gone.
    """
    name = os.environ[names.RUN_VARIABLE]
    before, cluster.namespace = cluster.namespace, os.environ[names.NAMESPACE_VARIABLE]
    try:
        return Driver(cluster.get(name))
    except RunNotFound:
        raise ClusterError(
            f"ProjectRun '{name}', whose command this is, was deleted; it starts no more runs."
        ) from None
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        raise ClusterError(f"{error}\n{RIGHTS}") from error
    finally:
        cluster.namespace = before
