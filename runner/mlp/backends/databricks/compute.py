"""What a run gets to run on, read from what a user wrote: a cluster spec as MLflow takes it, or a ProjectRun's fields.

Clusters and libraries are passed on as they stand: Databricks knows them better than a copy here could. Only what
Databricks could not explain is refused here: keys that exclude each other, or mean nothing where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.databricks.task import Compute
from mlp.errors import UsageError
from mlp.project.suggestion import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlp.resources.databricks import DatabricksBackend

__all__ = ["COMPUTE_KEYS", "compute_of", "dependencies", "read_compute", "with_python_libraries"]

COMPUTE_KEYS: Final = ("cluster_spec", "new_cluster", "existing_cluster_id", "serverless", "libraries")
"""The keys of a cluster spec that say what the run gets; a mapping with none of the kinds is itself a new cluster."""

_OF_NEW_CLUSTERS: Final = ("spark_version", "policy_id", "instance_pool_id", "node_type_id", "num_workers", "autoscale")
"""A new cluster has one of these at least: what has none was meant to be something else."""
_KINDS: Final = ("new_cluster", "existing_cluster_id", "serverless")
_OF_MLFLOW: Final = frozenset(
    ("ENV_MANAGER", "SYNCHRONOUS", "DOCKER_ARGS", "STORAGE_DIR", "build_image", "docker_auth")
)
"""What MLflow adds to a backend's configuration for itself. It once reached the cluster, which Databricks refused."""
_EXAMPLE: Final = (
    '{"new_cluster": {"spark_version": "16.4.x-scala2.12", "node_type_id": "…", "num_workers": 1}}, '
    '{"existing_cluster_id": "…"} or {"serverless": true}'
)


def read_compute(value: Mapping[str, Any]) -> Compute:
    """Read a cluster spec.

    Taken are a new cluster's own fields; ``{"new_cluster": {…}, "libraries": […]}``; the same within
    ``{"cluster_spec": {…}}``; and, which MLflow does not know, ``existing_cluster_id`` and ``serverless`` (true, or
    ``{"environment_version": "4"}``) in place of new_cluster.

    Args:
        value: The JSON, parsed, without the keys that say other things than what the run gets.

    Raises:
        UsageError: It says nothing, or two things at once, or something that makes no sense where it stands.
    """
    spec = {key: given for key, given in value.items() if key not in _OF_MLFLOW and given is not None}
    if "cluster_spec" in spec:
        return _read_wrapped(spec)
    kinds = [key for key in _KINDS if key in spec and spec[key] is not False]
    if not any(key in spec for key in _KINDS):
        libraries = spec.pop("libraries", ())
        _check_flat(spec)
        return _checked(Compute(new_cluster=_cluster(spec, "The cluster spec"), libraries=_libraries(libraries)))
    if len(kinds) != 1:
        said = " and ".join(kinds) or "serverless: false"
        raise UsageError(f"The cluster spec says {said}, but a run gets exactly one of {', '.join(_KINDS)}.")
    if unknown := sorted(key for key in spec if key not in COMPUTE_KEYS):
        raise UsageError(
            f"The cluster spec has {', '.join(map(repr, unknown))} beside {kinds[0]}, where it means nothing. "
            f"What belongs to a new cluster stands within new_cluster.{did_you_mean(unknown[0], COMPUTE_KEYS)}"
        )
    return _checked(replace(_read_kind(kinds[0], spec[kinds[0]]), libraries=_libraries(spec.get("libraries", ()))))


def _check_flat(spec: Mapping[str, Any]) -> None:
    """Refuse a mapping that would only be a new cluster because nothing in it is known.

    Databricks adds fields to its clusters, so that a field is unknown here says nothing yet.

    Raises:
        UsageError: A key resembles one that says what the run gets, or no cluster has nothing but these fields.
    """
    for key in spec:
        if hint := did_you_mean(str(key), COMPUTE_KEYS):
            raise UsageError(f"The cluster spec has no '{key}'.{hint}")
    if spec and not any(key in spec for key in _OF_NEW_CLUSTERS):
        raise UsageError(
            f"The cluster spec has {', '.join(map(repr, spec))}, which makes no new cluster: that has a "
            f"spark_version. Say what the run gets: {_EXAMPLE}."
        )


def _read_wrapped(spec: Mapping[str, Any]) -> Compute:
    inner = spec["cluster_spec"]
    if not isinstance(inner, Mapping):
        raise UsageError(f"cluster_spec must be a mapping such as {_EXAMPLE}, and is {inner!r:.60}.")
    beside = {key: given for key, given in spec.items() if key != "cluster_spec"}
    if twice := sorted(set(beside) - {"libraries"} | (set(beside) & set(inner))):
        raise UsageError(
            f"The cluster spec has {', '.join(map(repr, twice))} beside cluster_spec. Write it within cluster_spec."
        )
    return read_compute({**inner, **beside})


def _read_kind(kind: str, given: object) -> Compute:
    if kind == "new_cluster":
        return Compute(new_cluster=_cluster(given, "new_cluster"))
    if kind == "existing_cluster_id":
        if not isinstance(given, str) or not given.strip():
            raise UsageError(
                f"existing_cluster_id must be a cluster's id, such as 0923-164208-meows279, not {given!r}."
            )
        return Compute(existing_cluster_id=given.strip())
    if given is True:
        return Compute(serverless=True)
    if not isinstance(given, Mapping):
        raise UsageError(f'serverless must be true or {{"environment_version": "4"}}, not {given!r:.60}.')
    if unknown := sorted(key for key in given if key != "environment_version"):
        raise UsageError(
            f"serverless has no field {', '.join(map(repr, unknown))}: it takes environment_version alone. "
            "Packages are given as libraries."
        )
    version = given.get("environment_version")
    if isinstance(version, bool) or not isinstance(version, (str, int, type(None))) or version == "":
        raise UsageError(f'environment_version must be a version such as "4", not {version!r}.')
    return Compute(serverless=True, environment_version=None if version is None else str(version))


def _cluster(given: object, what: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise UsageError(f"{what} must be a mapping of the Jobs API's fields of a cluster, and is {given!r:.60}.")
    cluster = {key: each for key, each in given.items() if key not in _OF_MLFLOW}
    if not cluster:
        raise UsageError(f"{what} is empty. Say what the run gets: {_EXAMPLE}.")
    if "libraries" in cluster:
        raise UsageError("new_cluster has no field 'libraries'. Write libraries beside new_cluster.")
    return cluster


def _libraries(given: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(given, (list, tuple)):
        raise UsageError(f'libraries must be a list such as [{{"pypi": {{"package": "polars"}}}}], not {given!r:.60}.')
    for each in given:
        if not isinstance(each, Mapping) or len(each) != 1:
            raise UsageError(
                f"A library is a mapping of one kind to what is installed, such as "
                f'{{"pypi": {{"package": "polars"}}}}, {{"whl": "/Volumes/…"}} or {{"jar": "…"}}, not {each!r:.80}.'
            )
    return tuple(dict(each) for each in given)


def compute_of(backend: DatabricksBackend) -> Compute:
    """What a ProjectRun's backend asks for. The fields exclude each other already.

    Raises:
        UsageError: A library makes no sense on serverless compute, or a cluster has no field.
    """
    libraries = _libraries([dict(each) for each in backend.libraries or ()])
    cluster = backend.cluster
    if cluster is None:
        version = backend.serverless.environment_version if backend.serverless is not None else None
        return _checked(Compute(serverless=True, environment_version=version, libraries=libraries))
    if cluster.new_cluster is not None:
        return Compute(new_cluster=_cluster(cluster.new_cluster, "cluster.newCluster"), libraries=libraries)
    return Compute(existing_cluster_id=cluster.existing_cluster_id, libraries=libraries)


def with_python_libraries(compute: Compute, packages: Iterable[str]) -> Compute:
    """Add the Python packages that a project asks for (python_libraries of databricks_spark_job).

    Args:
        compute: What the run gets.
        packages: What pip installs, such as ``polars>=1``. What is among the libraries already is not added again.
    """
    wanted = ({"pypi": {"package": str(package)}} for package in packages)
    return replace(compute, libraries=(*compute.libraries, *(each for each in wanted if each not in compute.libraries)))


def dependencies(libraries: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Libraries as a serverless environment takes them: lines for pip.

    Raises:
        UsageError: One is nothing that pip installs.
    """
    return tuple(_dependency(library) for library in libraries)


def _dependency(library: Mapping[str, Any]) -> str:
    ((kind, given),) = library.items()
    if kind == "pypi" and isinstance(given, Mapping) and isinstance(given.get("package"), str):
        if "repo" in given:
            raise UsageError(
                f"The library {given['package']} names an index (repo), which serverless compute does not take a "
                "library. Set the workspace's default package index, or use a cluster."
            )
        return str(given["package"])
    if kind == "whl" and isinstance(given, str):
        return given
    if kind == "requirements" and isinstance(given, str):
        return f"-r {given}"
    raise UsageError(
        f"The library {dict(library)!r:.120} cannot be installed on serverless compute, which takes pypi, whl and "
        "requirements. Leave it out, or use a cluster."
    )


def _checked(compute: Compute) -> Compute:
    if compute.serverless:
        dependencies(compute.libraries)
    return compute
