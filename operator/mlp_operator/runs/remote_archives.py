"""The edge from a run's project to the archive that is uploaded for it: all of a commit, or the bundle as it is.

An archive is brought only when its workspace does not have it yet, two at a time, one for each workspace at most: what
is being brought lies in the operator's memory. Credentials are used here and go nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import AuthenticationFailed, SourceInvalid, SourceUnavailable
from mlp.source import Git
from mlp.source import bundle as archives
from mlp.source.bundle.packing import size_in_words
from mlp.source.bundle.reading import check_digest
from mlp.source.location import transport
from mlp.source.program import Deadline
from mlp_operator.runs import bundles, repositories
from mlp_operator.runs.bundles import read_config_map, schemes_of, store_credentials
from mlp_operator.runs.repositories import reaching
from mlp_operator.runs.sharing import Shares, Work
from mlp_operator.runs.stores import bring, store_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Mapping

    from mlp.resources import ProjectRun
    from mlp.resources.plan import PlannedBundle, PlannedSource
    from mlp.source import Access
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.settings import Settings

__all__ = ["PREFIX", "RemoteArchives"]

PREFIX: Final = "mlp-archive-"
"""Of directories with projects on their way."""

_AT_A_TIME: Final = 2
_LARGEST_TREE: Final = 200 << 20
"""Bytes of a checkout with all that Git needs for it: two of them are in the pod's memory at once."""
_TIMEOUT: Final = 600.0
"""Seconds for a checkout: longer than a look-up, which brings next to nothing."""
_ADVICE: Final = (
    "Let the project's data be fetched by its parameters (s3://, dbfs:/, https://), or set "
    "spec.backend.databricks.projectSource Git in a new ProjectRun: then the workspace fetches the commit itself."
)


class RemoteArchives:
    """Projects on their way to workspaces.

    Args:
        cluster: Where ConfigMaps and Secrets are.
        settings: Limits, and what Git may do.
    """

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._work = Work(_AT_A_TIME, name="archive")
        self._places = asyncio.Semaphore(_AT_A_TIME)
        # A workspace that hangs keeps one place, and the other goes on.
        self._shares = Shares(1)

    @contextlib.asynccontextmanager
    async def brought(self, run: ProjectRun, source: PlannedSource, workspace: Hashable) -> AsyncIterator[bytes]:
        """A run's project, packed, for the time of the block.

        Args:
            run: The run.
            source: Where its project comes from, pinned.
            workspace: Where it goes.

        Raises:
            SourceError: It is not there any more, not what was submitted, too large, or cannot be read now.
            ApiError: The ConfigMap or the credentials cannot be read.
            ClusterUnreachable: The same.
        """
        async with self._shares.of(workspace), self._places:
            yield await (self._bundle(run, source.bundle) if source.bundle is not None else self._checkout(run, source))

    def close(self) -> None:
        """Take nothing new. Programs under way end with their own deadlines at the latest."""
        self._work.close()

    async def _bundle(self, run: ProjectRun, planned: PlannedBundle) -> bytes:
        bundle = run.spec.project.bundle
        if bundle is None:
            raise SourceInvalid("The plan names a bundle, and spec.project has none.")
        if planned.uri is None:
            content = await read_config_map(self._cluster, run, bundle)
            await asyncio.to_thread(check_digest, content, planned.sha256)
            return content
        store = store_of(planned.uri, schemes=schemes_of(self._settings))
        variables, _ = await store_credentials(self._cluster, run)
        try:
            return await self._work.do(
                store, _download, planned.uri, planned.sha256, variables, self._settings.resolve_timeout
            )
        except AuthenticationFailed as error:
            raise AuthenticationFailed(f"{error} {bundles.advice(run)}") from None

    async def _checkout(self, run: ProjectRun, source: PlannedSource) -> bytes:
        uri = source.uri or ""
        directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            async with reaching(
                self._cluster, self._settings, run, largest=archives.BOUNDS.packed, check=_not_larger(directory)
            ) as (access, _):
                return await self._work.do(transport(uri), _pack, access, source, directory)
        except AuthenticationFailed as error:
            raise AuthenticationFailed(f"{error} {repositories.advice(run)}") from None
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _pack(access: Access, source: PlannedSource, directory: Path) -> bytes:
    """Check a commit out and pack it: in a thread, which may outlive whoever waits for it."""
    checkout = directory / "checkout"
    try:
        # All of it, whatever part is the project's: other runs may ask for another part of the same archive.
        Git(access, timeout=_TIMEOUT).fetch(
            source.uri or "",
            source.commit or "",
            checkout,
            ref=source.ref,
            submodules=source.submodules,
            lfs=source.lfs,
        )
        if access.check is not None:
            access.check()  # what came quickly has not been measured yet
        shutil.rmtree(checkout / ".git", ignore_errors=True)
        return archives.pack_checkout(checkout, advice=_ADVICE).content
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _not_larger(directory: Path) -> Callable[[], None]:
    def check() -> None:
        if _size(directory) > _LARGEST_TREE:
            raise SourceInvalid(
                f"The repository is too large to be sent to Databricks: its commit and what Git needs for it take more "
                f"than {size_in_words(_LARGEST_TREE)}. {_ADVICE}"
            )

    return check


def _size(directory: Path) -> int:
    """Bytes of all files in a directory, which others may be changing."""
    size, todo = 0, [str(directory)]
    while todo:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_size
    return size


def _download(uri: str, sha256: str, variables: Mapping[str, str], timeout: float) -> bytes:
    """Bring an archive from a store: in a thread."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        path = bring(uri, directory, variables, largest=archives.BOUNDS.packed, deadline=Deadline.after(timeout))
        check_digest(path, sha256)
        return path.read_bytes()
    except OSError as error:
        raise SourceUnavailable(f"The archive of spec.project.bundle.uri could not be read: {error}") from None
    finally:
        shutil.rmtree(directory, ignore_errors=True)
