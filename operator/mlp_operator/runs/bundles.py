"""The edge to packed projects: the archive from a ConfigMap or from a store, and what it holds.

An archive is the one that was submitted if its digest says so, wherever it came from. How one is brought from a store
is for stores.py to say. What archives hold is kept, and never told to another namespace or to who has other
credentials.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import posixpath
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import AuthenticationFailed, SourceUnavailable
from mlp.project import is_project_file
from mlp.resources import names
from mlp.resources.plan import PlannedBundle, PlannedSource
from mlp.source import bundle as archives
from mlp.source.program import Deadline
from mlp_operator.machinery.cluster import CONFIGMAPS, SECRETS, ApiError
from mlp_operator.runs.sharing import Shares
from mlp_operator.runs.stores import SCHEMES, TAKEN, bring, store_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from mlp.resources import Bundle, ProjectRun
    from mlp.source import Snapshot
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.runs.sharing import Kept, Work
    from mlp_operator.settings import Settings

__all__ = ["PREFIX", "BundleMissing", "Bundles", "advice", "read_config_map", "schemes_of", "store_credentials"]

PREFIX: Final = "mlp-bundle-"
"""Of directories with archives on their way."""

_AT_A_TIME: Final = 2
"""Archives on the disk at the same time, which in a pod is memory."""


_FOLLOWS: Final = (0.05, 0.1, 0.2, 0.4)
"""Seconds between looks for a ConfigMap that is not there: the command that makes runs and ConfigMaps is in between."""


class BundleMissing(SourceUnavailable):
    """The ConfigMap is not there yet: `mlp submit` makes it right after its run."""


class Bundles:
    """Packed projects.

    Args:
        cluster: Where ConfigMaps and Secrets are.
        settings: Limits.
        work: Where what blocks is called.
        snapshots: What archives hold.
    """

    def __init__(self, cluster: Cluster, settings: Settings, work: Work, snapshots: Kept[Snapshot]) -> None:
        self._cluster = cluster
        self._settings = settings
        self._work = work
        self._snapshots = snapshots
        self._places = asyncio.Semaphore(_AT_A_TIME)
        # A store that hangs keeps one place, and the other goes on.
        self._stores = Shares(1)

    async def look_up(self, run: ProjectRun, bundle: Bundle) -> tuple[PlannedSource, Snapshot]:
        """Find out what a run's archive holds.

        Raises:
            SourceError: It is not there, not what was submitted, or cannot be read, or not now.
            ApiError: The ConfigMap or the credentials cannot be read.
            ClusterUnreachable: The same.
        """
        directory = posixpath.normpath(run.spec.project.subdirectory or ".")
        subdirectory = "" if directory == "." else directory
        if bundle.uri is None:
            snapshot = await self._from_config_map(run, bundle, subdirectory)
        else:
            snapshot = await self._from_store(run, bundle, bundle.uri, subdirectory)
        planned = PlannedBundle(uri=bundle.uri, sha256=bundle.sha256)
        return PlannedSource(bundle=planned, subdirectory=subdirectory), snapshot

    # --- ConfigMaps ---------------------------------------------------------------------------------------------------

    async def _from_config_map(self, run: ProjectRun, bundle: Bundle, subdirectory: str) -> Snapshot:
        # Read even if the content is known: the pod cannot start before the object is there.
        content = await read_config_map(self._cluster, run, bundle)
        return await self._snapshots.get(
            (run.metadata.namespace, bundle.sha256, subdirectory),
            lambda: self._work.do("configmaps", _look_inside, content, bundle, subdirectory),
        )

    # --- stores -------------------------------------------------------------------------------------------------------

    async def _from_store(self, run: ProjectRun, bundle: Bundle, uri: str, subdirectory: str) -> Snapshot:
        store = store_of(uri, schemes=schemes_of(self._settings))
        variables, scope = await store_credentials(self._cluster, run)

        async def fetch() -> Snapshot:
            async with self._stores.of(store), self._places:
                return await self._work.do(
                    store, _fetch, uri, bundle, subdirectory, variables, self._settings.resolve_timeout
                )

        try:
            return await self._snapshots.get((scope, uri, bundle.sha256, subdirectory), fetch)
        except AuthenticationFailed as error:
            raise AuthenticationFailed(f"{error} {advice(run)}") from None


async def read_config_map(cluster: Cluster, run: ProjectRun, bundle: Bundle) -> bytes:
    """The archive that a run's ConfigMap holds, whatever its digest.

    Raises:
        SourceUnavailable: It is not there, or may not be read.
        ApiError: Whatever else the server says.
        ClusterUnreachable: There was no answer.
    """
    name, namespace = bundle.config_map_name or "", run.metadata.namespace
    missing = f"spec.project.bundle: there is no ConfigMap {name} in namespace {namespace}"
    try:
        found = await _following(cluster, namespace, name)
    except ApiError as error:
        if error.not_found:
            raise BundleMissing(
                f"{missing} yet. `mlp submit` makes it right after its run; if it was interrupted, submit again."
            ) from None
        if error.forbidden:
            raise SourceUnavailable(
                f"spec.project.bundle: the operator may not read ConfigMaps in namespace {namespace}. Its role "
                "needs the verb get for configmaps; the run goes on by itself."
            ) from None
        raise
    encoded = (found.get("binaryData") or {}).get(names.BUNDLE_KEY)
    if encoded is None:
        raise BundleMissing(
            f"spec.project.bundle: the ConfigMap {name} in namespace {namespace} has no key {names.BUNDLE_KEY} in "
            "binaryData. Add it; the run goes on by itself."
        )
    content = base64.b64decode(encoded)
    if _of_another_run(found, run) and hashlib.sha256(content).hexdigest() != bundle.sha256:
        raise BundleMissing(f"{missing} for this run yet: the one of that name was made for an earlier run.")
    return content


async def _following(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    # Waiting here is quicker than being asked again, and no run's status tells of what is no trouble.
    for pause in _FOLLOWS:
        try:
            return await cluster.get(CONFIGMAPS, namespace, name)
        except ApiError as error:
            if not error.not_found:
                raise
        await asyncio.sleep(pause)
    return await cluster.get(CONFIGMAPS, namespace, name)


async def store_credentials(cluster: Cluster, run: ProjectRun) -> tuple[dict[str, str], Hashable]:
    """What the run's Secret gives to a download, and the scope in which answers may be shared.

    Raises:
        SourceUnavailable: There is no such Secret.
        ApiError: Whatever else the server says.
        ClusterUnreachable: There was no answer.
    """
    namespace = run.metadata.namespace
    reference = run.spec.data.secret_ref if run.spec.data is not None else None
    if reference is None:
        return {}, (namespace,)
    try:
        secret = await cluster.get(SECRETS, namespace, reference.name)
    except ApiError as error:
        if not error.not_found:
            raise
        raise SourceUnavailable(
            f"spec.data.secretRef: there is no Secret {reference.name} in namespace {namespace}. Create it; the "
            "run goes on by itself."
        ) from None
    given = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items() if key in TAKEN}
    variables = {key: value.decode(errors="replace").strip() for key, value in given.items()}
    metadata = secret["metadata"]
    return variables, (namespace, metadata["uid"], metadata["resourceVersion"])


def schemes_of(settings: Settings) -> tuple[str, ...]:
    """The schemes by which archives may be brought from stores."""
    return (*SCHEMES, "http") if "http" in settings.git_protocols else SCHEMES


def _of_another_run(config_map: dict[str, Any], run: ProjectRun) -> bool:
    """Whether an object was made for another run: what is left of one of the same name will be collected."""
    owners = config_map["metadata"].get("ownerReferences") or ()
    uids = {owner["uid"] for owner in owners if owner.get("kind") == names.KIND}
    return bool(uids) and run.metadata.uid not in uids


def _look_inside(content: bytes | Path, bundle: Bundle, subdirectory: str) -> Snapshot:
    return archives.snapshot(content, subdirectory, sha256=bundle.sha256, wanted=is_project_file)


def _fetch(uri: str, bundle: Bundle, subdirectory: str, variables: Mapping[str, str], timeout: float) -> Snapshot:
    """Bring an archive and look into it: in a thread."""
    deadline = Deadline.after(timeout)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        archive = bring(uri, directory, variables, largest=archives.BOUNDS.packed, deadline=deadline)
        return _look_inside(archive, bundle, subdirectory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def advice(run: ProjectRun) -> str:
    """What can be done about a store that wants other credentials."""
    what = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or DATABRICKS_HOST and DATABRICKS_TOKEN"
    if run.spec.data is None or run.spec.data.secret_ref is None:
        return f"Name a Secret with {what} in spec.data.secretRef of a new ProjectRun."
    return (
        f"The operator reads the archive with the Secret {run.spec.data.secret_ref.name} of spec.data.secretRef, whose "
        f"keys may be {what}; it never uses the identity of a service account. Check it, then create a new ProjectRun."
    )
