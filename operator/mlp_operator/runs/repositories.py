"""The edge to Git: from a repository and a version to a commit, and to what that commit holds.

A burst of runs of one repository asks the server twice, not once a run: a look-up answers every run that was there
before it began, and never one that came later, which may be meant to see what has just been pushed. What a commit
holds never changes and is kept. Neither is ever shared between credentials.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import AuthenticationFailed, SourceUnavailable
from mlp.project import is_project_file
from mlp.resources.plan import PlannedSource
from mlp.source import Access, Git, Resolution, locate
from mlp.source.location import transport
from mlp_operator.machinery.cluster import SECRETS, ApiError
from mlp_operator.runs.sharing import Batches

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Hashable

    from mlp.resources import ProjectRun
    from mlp.source import Location, Snapshot
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.runs.sharing import Kept, Work
    from mlp_operator.settings import Settings

__all__ = ["PREFIX", "Repositories", "advice", "reaching"]

PREFIX: Final = "mlp-git-"
"""Of directories with credentials: ours, and those in which mlp.source calls Git."""

_LARGEST: Final = 64 << 20
"""Bytes of a pack that one look-up may bring: all look-ups share the pod's memory."""


class Repositories:
    """Projects in Git repositories.

    Args:
        cluster: Where the Secrets with Git credentials are.
        settings: Limits, and what Git may do.
        work: Where Git is called.
        snapshots: What commits hold.
    """

    def __init__(self, cluster: Cluster, settings: Settings, work: Work, snapshots: Kept[Snapshot]) -> None:
        self._cluster = cluster
        self._settings = settings
        self._work = work
        self._refs: Batches[Resolution] = Batches()
        self._snapshots = snapshots

    async def look_up(self, run: ProjectRun) -> tuple[PlannedSource, Snapshot]:
        """Find a run's commit, and what it holds.

        Raises:
            SourceError: There is no such project, or it cannot be read, or not now.
            ApiError: The credentials cannot be read.
            ClusterUnreachable: The same.
        """
        project = run.spec.project
        location = locate(project.uri or "", subdirectory=project.subdirectory, local=False)
        async with reaching(self._cluster, self._settings, run) as (access, scope):
            git = Git(access, timeout=self._settings.resolve_timeout)
            found = await self._commit(run, git, location, scope)
            snapshot = await self._snapshots.get(
                (scope, location.uri, found.commit, location.subdirectory),
                lambda: self._work.do(transport(location.uri), self._read, git, location, found),
            )
        source = PlannedSource(
            uri=location.uri,
            commit=found.commit,
            ref=found.ref,
            version=project.version,
            subdirectory=location.subdirectory,
            submodules=project.submodules,
            lfs=project.lfs,
            protocols=self._settings.git_protocols,
            other_hosts=self._settings.git_other_hosts,
            credentials=project.auth_secret_ref is not None,
        )
        return source, snapshot

    def cancel(self) -> list[asyncio.Task[Resolution]]:
        """End what is being asked, and say what has to be waited for."""
        return self._refs.cancel()

    async def _commit(self, run: ProjectRun, git: Git, location: Location, scope: Hashable) -> Resolution:
        """The commit that the run is about: looked up once, and the same for all its attempts."""
        version, source = run.spec.project.version, run.status.source
        if source is not None and source.commit is not None:
            return Resolution(commit=source.commit, ref=None, version=version)
        return await self._refs.ask(
            (scope, location.uri, version),
            lambda: self._work.do(transport(location.uri), git.resolve, location.uri, version),
        )

    @staticmethod
    def _read(git: Git, location: Location, found: Resolution) -> Snapshot:
        return git.read(
            location.uri, found.commit, ref=found.ref, subdirectory=location.subdirectory, wanted=is_project_file
        )


@contextlib.asynccontextmanager
async def reaching(
    cluster: Cluster,
    settings: Settings,
    run: ProjectRun,
    *,
    largest: int = _LARGEST,
    check: Callable[[], None] | None = None,
) -> AsyncIterator[tuple[Access, Hashable]]:
    """How Git may reach the server for this run, and the scope in which answers may be shared.

    The credentials lie in files that nobody else can read, for the time of the block.

    Args:
        cluster: Where the Secret with Git credentials is.
        settings: What Git may do.
        run: The run.
        largest: Bytes that Git may write into one file.
        check: Called again and again while Git works; what it raises ends Git.

    Raises:
        SourceError: There is no such Secret, or it cannot be read as one.
        ApiError: It cannot be read.
        ClusterUnreachable: The same.
    """
    rules: dict[str, Any] = {
        "protocols": settings.git_protocols,
        "allow_other_hosts": settings.git_other_hosts,
        "largest_file": largest if shutil.which("prlimit") else None,
        "check": check,
    }
    reference = run.spec.project.auth_secret_ref
    if reference is None:
        yield Access.scrubbed(**rules), None
        return
    namespace = run.metadata.namespace
    try:
        secret = await cluster.get(SECRETS, namespace, reference.name)
    except ApiError as error:
        if not error.not_found:
            raise
        # GitOps tools may apply the Secret after the run, so this is worth waiting for.
        raise SourceUnavailable(
            f"spec.project.authSecretRef: there is no Secret {reference.name} in namespace {namespace}. Create it "
            "(type kubernetes.io/basic-auth or kubernetes.io/ssh-auth); the run goes on by itself."
        ) from None
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        _write_secret(secret, directory, reference.name)
        scope = (secret["metadata"]["uid"], secret["metadata"]["resourceVersion"])
        yield Access.scrubbed(credentials=directory, **rules), scope
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def advice(run: ProjectRun) -> str:
    """What can be done about a server that wants other credentials."""
    reference = run.spec.project.auth_secret_ref
    if reference is None:
        return "Name a Secret with credentials in spec.project.authSecretRef of a new ProjectRun."
    return f"Check the Secret {reference.name} of spec.project.authSecretRef, then create a new ProjectRun."


def _write_secret(secret: dict[str, Any], directory: Path, name: str) -> None:
    for key, value in (secret.get("data") or {}).items():
        if "/" in key or key.startswith("."):
            continue
        try:
            content = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise AuthenticationFailed(f"The key {key} of Secret {name} is not base64.") from None
        path = directory / key
        path.touch(mode=0o600)
        path.write_bytes(content)
