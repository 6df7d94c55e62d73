"""The edge to one Databricks workspace, for all runs that ask it by the same right: opened, asked, polled.

What is opened stays in memory until the last of its runs is let go: when a namespace is deleted, its Secret goes first,
and what runs on Databricks still has to be cancelled. A Secret that changes is read anew. Which requests there are is
not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mlp.errors import MlpError, WorkspaceDenied, WorkspaceError, WorkspaceUnavailable
from mlp_operator.machinery.cluster import SECRETS, ApiError, ClusterUnreachable
from mlp_operator.runs.account_tokens import AccountTokens
from mlp_operator.runs.pauses import pause
from mlp_operator.runs.workspace_access import WayIn, way_in

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Hashable

    from mlp.backends.databricks.access import Access
    from mlp.backends.databricks.pacing import Kind
    from mlp.backends.databricks.polling import Poller, Sighting
    from mlp.backends.databricks.workspace import Workspace
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.runs.workspace_access import Entrance
    from mlp_operator.runs.workspace_calls import Places
    from mlp_operator.settings import Settings

__all__ = ["Door", "Opened"]

T = TypeVar("T")

_TRUSTED: Final = 10.0
"""Seconds for which a Secret that has been read is not read again."""
_ATTEMPTS: Final = 3
_LARGEST: Final = 64 << 20
"""Bytes of an answer: that with a run's output holds up to 5 MB of text, of which JSON may make six times as much."""

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Opened:
    """A workspace with the credentials of one moment.

    Attributes:
        version: Which credentials: the Secret's uid and version.
        workspace: The workspace.
        poller: Follows its runs.
        uses: How many requests are under way.
        retired: Whether others have taken its place, or nobody needs it.
        closed: Whether it is being closed.
    """

    version: Hashable
    workspace: Workspace
    poller: Poller
    uses: int = 0
    retired: bool = False
    closed: bool = False


class Door:
    """One workspace, asked by one right. Made by `Workspaces` alone.

    Args:
        cluster: Where its Secret is.
        settings: Limits.
        entrance: Which workspace, and by which right.
        shut: Closes what was opened, in a thread.
        count: Learns how requests end.

    Attributes:
        entrance: What it was made from.
        users: How many need it.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        entrance: Entrance,
        shut: Callable[[Opened], None],
        count: Callable[[Kind, int], None],
    ) -> None:
        self.entrance = entrance
        self.users = 0
        self._cluster = cluster
        self._settings = settings
        self._shut = shut
        self._count = count
        self._tokens = AccountTokens(cluster, entrance.namespace, settings.request_timeout)
        self._lock = asyncio.Lock()
        self._opened: Opened | None = None
        self._closed = False
        self._read_at = 0.0
        self._followers: dict[int, Callable[[Sighting], None]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._denied = False

    async def ask(
        self,
        question: Callable[[Workspace], T],
        threads: concurrent.futures.Executor,
        places: Places,
        *,
        anew: bool = False,
        kept: bool = False,
    ) -> T:
        """Ask the workspace something, in a thread.

        Args:
            question: What.
            threads: Where.
            places: How many of the threads one namespace, and one server, gets.
            anew: Read the Secret even if that was done just now.
            kept: What was opened earlier will do where the Secret cannot be read (any more).

        Raises:
            WorkspaceDenied: The Secret, or the spec, does not say by which right.
            WorkspaceUnavailable: The Secret is not there, or cannot be read now.
        """
        opened = await self._open(anew=anew, kept=kept)
        opened.uses += 1
        try:
            async with places.of(self.entrance.namespace, opened.workspace.host):
                return await asyncio.get_running_loop().run_in_executor(threads, question, opened.workspace)
        finally:
            opened.uses -= 1
            if (opened.retired or self._closed) and not opened.uses and not opened.closed:
                self._close(opened)

    def follow(self, run_id: int, told: Callable[[Sighting], None]) -> None:
        """Tell what is heard of a run, on the event loop, until `leave`."""
        self._followers[run_id] = told
        if self._opened is None:
            self._renew()
        else:
            self._follow(self._opened, run_id)

    def leave(self, run_id: int) -> None:
        """Follow a run no longer."""
        if self._followers.pop(run_id, None) is not None and self._opened is not None:
            self._opened.poller.leave(run_id)

    def close(self, *, at_once: bool = False) -> None:
        """Close the workspace.

        Args:
            at_once: End what is under way, too; whoever waits for it is gone.
        """
        self._closed = True
        self._followers.clear()
        if self._renewing is not None:
            self._renewing.cancel()
        self._tokens.close()
        if self._opened is not None:
            if at_once:
                self._opened.workspace.abort()
            self._retire(self._opened, at_once=at_once)
            self._opened = None

    # --- opening ------------------------------------------------------------------------------------------------------

    async def _open(self, *, anew: bool, kept: bool) -> Opened:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            opened = self._opened
            if opened is not None and not anew and now - self._read_at < _TRUSTED:
                return opened
            try:
                secret = await self._secret()
                version = None if secret is None else (secret["metadata"]["uid"], secret["metadata"]["resourceVersion"])
                if opened is None or opened.version != version:
                    opened = self._connect(secret, version)
            except (WorkspaceError, ApiError, ClusterUnreachable) as error:
                if kept and self._opened is not None:
                    return self._opened
                raise _told(error, self.entrance) from None
            self._read_at = now
            return opened

    async def _secret(self) -> dict[str, Any] | None:
        name, namespace = self.entrance.secret, self.entrance.namespace
        if name is None:
            return None
        try:
            return await self._cluster.get(SECRETS, namespace, name)
        except ApiError as error:
            if not error.not_found:
                raise
            # GitOps tools may apply the Secret after the run, so this is worth waiting for.
            raise WorkspaceUnavailable(
                f"spec.backend.databricks.secretRef: there is no Secret {name} in namespace {namespace}. Create it "
                "with token, or clientId and clientSecret; the run goes on by itself."
            ) from None

    def _connect(self, secret: dict[str, Any] | None, version: Hashable) -> Opened:
        from mlp.backends.databricks.polling import Poller  # noqa: PLC0415 -- most operators never need it
        from mlp.backends.databricks.workspace import connect  # noqa: PLC0415 -- likewise
        from mlp.tracking import Limits, Patience  # noqa: PLC0415 -- likewise

        way = way_in(self.entrance, secret, plain_http=self._settings.databricks_plain_http)
        access = self._access(way, asyncio.get_running_loop())
        timeout = self._settings.databricks_timeout
        limits = Limits(timeout, Patience(_ATTEMPTS, timeout), _LARGEST)
        workspace = connect(access, limits=limits, counted=self._count)
        poller = Poller(workspace, period=self._settings.databricks_poll_period)
        before, self._opened = self._opened, Opened(version, workspace, poller)
        self._denied = False
        for run_id in self._followers:
            self._follow(self._opened, run_id)
        if before is not None:
            self._retire(before)
        return self._opened

    def _retire(self, opened: Opened, *, at_once: bool = False) -> None:
        opened.retired = True
        if at_once or not opened.uses:
            self._close(opened)

    def _close(self, opened: Opened) -> None:
        opened.closed = True
        self._shut(opened)

    def _access(self, way: WayIn, loop: asyncio.AbstractEventLoop) -> Access:
        from mlp.backends.databricks.access import (  # noqa: PLC0415 -- most operators never need it
            identity_access,
            m2m_access,
            token_access,
        )

        if way.method == "Token":
            return token_access(way.host, way.token)
        if way.method == "OAuthM2M":
            return m2m_access(way.host, way.client_id or "", way.client_secret)

        def id_token() -> str:
            return self._tokens.get(way.service_account, way.audience, loop)

        return identity_access(way.host, way.client_id, id_token, way.audience)

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, opened: Opened, run_id: int) -> None:
        loop = asyncio.get_running_loop()

        def told(sighting: Sighting) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits for it any more
                loop.call_soon_threadsafe(self._heard, opened, run_id, sighting)

        opened.poller.follow(run_id, told)

    def _heard(self, opened: Opened, run_id: int, sighting: Sighting) -> None:
        told = self._followers.get(run_id)
        if told is None or opened is not self._opened:
            return
        self._denied = isinstance(sighting.trouble, WorkspaceDenied)
        if self._denied:
            self._renew()
        told(sighting)

    def _renew(self) -> None:
        """See to it that the workspace is open, and by credentials that it takes."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._keep_trying())

    async def _keep_trying(self) -> None:
        from mlp.backends.databricks.polling import Sighting  # noqa: PLC0415 -- most operators never need it

        failures = 0
        try:
            while self._followers and (self._opened is None or self._denied):
                trouble = await self._try()
                if trouble is not None and self._opened is None:
                    for told in list(self._followers.values()):
                        told(Sighting(state=None, gone=False, trouble=trouble, at=datetime.now(UTC)))
                await asyncio.sleep(pause(failures))
                failures += 1
        finally:
            self._renewing = None

    async def _try(self) -> WorkspaceError | None:
        try:
            await self._open(anew=True, kept=False)
        except WorkspaceError as error:
            return error
        except MlpError as error:
            return WorkspaceUnavailable(str(error))
        except Exception as error:
            logger.exception("a workspace could not be opened")
            return WorkspaceUnavailable(f"The workspace could not be opened ({type(error).__name__}).")
        return None


def _told(error: WorkspaceError | ApiError | ClusterUnreachable, entrance: Entrance) -> WorkspaceError:
    if isinstance(error, WorkspaceError):
        return error
    return WorkspaceUnavailable(f"The Secret {entrance.secret} could not be read: {error}")
