"""The edge to Databricks workspaces: each is opened once for all runs that ask it by the same right, and polled once.

What is opened stays in memory until the last of its runs is let go: when a namespace is deleted, its Secret goes first,
and what runs on Databricks still has to be cancelled. A Secret that changes is read anew. Which requests there are is
not known here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mlp.errors import MlpError, WorkspaceDenied, WorkspaceError, WorkspaceUnavailable
from mlp_operator.machinery.cluster import SECRETS, ApiError, ClusterUnreachable
from mlp_operator.runs.workspace_access import WayIn, way_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from mlp.backends.databricks.access import Access
    from mlp.backends.databricks.pacing import Kind
    from mlp.backends.databricks.polling import Poller, Sighting
    from mlp.backends.databricks.workspace import Workspace
    from mlp_operator.machinery.cluster import Cluster
    from mlp_operator.machinery.metrics import Metrics
    from mlp_operator.runs.sharing import Shares
    from mlp_operator.runs.workspace_access import Entrance
    from mlp_operator.settings import Settings

__all__ = ["Door", "Workspaces"]

T = TypeVar("T")

_TRUSTED: Final = 10.0
"""Seconds for which a Secret that has been read is not read again."""
_FIRST_RETRY: Final = 2.0
_LAST_RETRY: Final = 120.0
_ATTEMPTS: Final = 3
_LARGEST: Final = 64 << 20
"""Bytes of an answer: that with a run's output holds up to 5 MB of text, of which JSON may make six times as much."""
_TOKEN_LIFE: Final = 600
"""Seconds that a ServiceAccount's token is good for. It is exchanged at once."""

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Opened:
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


class Workspaces:
    """All workspaces that runs ask. Belongs to one event loop.

    Args:
        cluster: Where Secrets are, and ServiceAccounts.
        settings: Limits.
        metrics: Learns how requests end.
    """

    def __init__(self, cluster: Cluster, settings: Settings, metrics: Metrics) -> None:
        self._cluster = cluster
        self._settings = settings
        self._metrics = metrics
        self._doors: dict[Entrance, Door] = {}
        self._closing: set[asyncio.Future[None]] = set()

    def enter(self, entrance: Entrance) -> Door:
        """The door to a workspace, which stays open until everybody has left."""
        door = self._doors.get(entrance)
        if door is None:
            door = self._doors[entrance] = Door(self._cluster, self._settings, entrance, self._shut, self._count)
        door.users += 1
        return door

    def leave(self, door: Door) -> None:
        """Let a door go; the last one closes it."""
        door.users -= 1
        if door.users == 0 and self._doors.get(door.entrance) is door:
            del self._doors[door.entrance]
            door.close()

    async def close(self) -> None:
        """End everything, what is under way in threads among it."""
        for door in self._doors.values():
            door.close(at_once=True)
        self._doors.clear()
        # The threads end by themselves once nothing is open; a server that hangs is not waited for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.shutdown_timeout):
                await asyncio.gather(*self._closing, return_exceptions=True)

    def _count(self, kind: Kind, status: int) -> None:
        """Count a request: whatever thread has sent it."""
        result = str(status) if status else "unreachable"
        self._metrics.databricks_requests.labels(operation=str(kind), result=result).inc()

    def _shut(self, opened: _Opened) -> None:
        done = asyncio.get_running_loop().run_in_executor(None, _shut, opened)
        self._closing.add(done)
        done.add_done_callback(self._closing.discard)


def _shut(opened: _Opened) -> None:
    """Close a workspace: in a thread, because its poller may be in the middle of a question."""
    try:
        opened.poller.close()
        opened.workspace.close()
    except Exception:
        logger.exception("a workspace could not be closed")


@dataclass(eq=False, slots=True)
class Door:
    """One workspace, asked by one right. Made by `Workspaces` alone."""

    _cluster: Cluster
    _settings: Settings
    entrance: Entrance
    _shut: Callable[[_Opened], None]
    _count: Callable[[Kind, int], None]
    users: int = 0
    _opened: _Opened | None = None
    _read_at: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _followers: dict[int, Callable[[Sighting], None]] = field(default_factory=dict)
    _renewing: asyncio.Task[None] | None = None
    _denied: bool = False
    _tokens: set[concurrent.futures.Future[str]] = field(default_factory=set)

    async def ask(
        self,
        question: Callable[[Workspace], T],
        threads: concurrent.futures.Executor,
        shares: Shares,
        *,
        anew: bool = False,
        kept: bool = False,
    ) -> T:
        """Ask the workspace something, in a thread.

        Args:
            question: What.
            threads: Where.
            shares: How many of the threads one server gets.
            anew: Read the Secret even if that was done just now.
            kept: What was opened earlier will do where the Secret cannot be read (any more).

        Raises:
            WorkspaceDenied: The Secret, or the spec, does not say by which right.
            WorkspaceUnavailable: The Secret is not there, or cannot be read now.
        """
        opened = await self._open(anew=anew, kept=kept)
        opened.uses += 1
        try:
            async with shares.of(opened.workspace.host):
                return await asyncio.get_running_loop().run_in_executor(threads, question, opened.workspace)
        finally:
            opened.uses -= 1
            if opened.retired and not opened.uses and not opened.closed:
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
        self._followers.clear()
        if self._renewing is not None:
            self._renewing.cancel()
        for token in list(self._tokens):
            token.cancel()
        if self._opened is not None:
            if at_once:
                self._opened.workspace.abort()
            self._retire(self._opened, at_once=at_once)
            self._opened = None

    # --- opening ------------------------------------------------------------------------------------------------------

    async def _open(self, *, anew: bool, kept: bool) -> _Opened:
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

    def _connect(self, secret: dict[str, Any] | None, version: Hashable) -> _Opened:
        from mlp.backends.databricks.polling import Poller  # noqa: PLC0415 -- most operators never need it
        from mlp.backends.databricks.workspace import connect  # noqa: PLC0415 -- likewise
        from mlp.tracking import Limits, Patience  # noqa: PLC0415 -- likewise

        way = way_in(self.entrance, secret, plain_http=self._settings.databricks_plain_http)
        access = self._access(way, asyncio.get_running_loop())
        timeout = self._settings.databricks_timeout
        limits = Limits(timeout, Patience(_ATTEMPTS, timeout), _LARGEST)
        workspace = connect(access, limits=limits, counted=self._count)
        poller = Poller(workspace, period=self._settings.databricks_poll_period)
        before, self._opened = self._opened, _Opened(version, workspace, poller)
        self._denied = False
        for run_id in self._followers:
            self._follow(self._opened, run_id)
        if before is not None:
            self._retire(before)
        return self._opened

    def _retire(self, opened: _Opened, *, at_once: bool = False) -> None:
        opened.retired = True
        if at_once or not opened.uses:
            self._close(opened)

    def _close(self, opened: _Opened) -> None:
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
            return self._token(way, loop)

        return identity_access(way.host, way.client_id, id_token, way.audience)

    def _token(self, way: WayIn, loop: asyncio.AbstractEventLoop) -> str:
        """A token of the ServiceAccount: asked for by whatever thread needs one."""
        if loop.is_closed():
            raise WorkspaceUnavailable("The operator is stopping.")
        namespace, name = self.entrance.namespace, way.service_account
        asking = self._cluster.token(namespace, name, audience=way.audience, seconds=_TOKEN_LIFE)
        token = asyncio.run_coroutine_threadsafe(asking, loop)
        self._tokens.add(token)
        try:
            # A second more than the request itself has.
            return token.result(self._settings.request_timeout + 1)
        except (TimeoutError, concurrent.futures.CancelledError):
            token.cancel()
            raise WorkspaceUnavailable(f"There was no token of the ServiceAccount {name} in time.") from None
        except (ApiError, ClusterUnreachable) as error:
            raise WorkspaceUnavailable(_without_token(error, namespace, name)) from None
        finally:
            self._tokens.discard(token)

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, opened: _Opened, run_id: int) -> None:
        loop = asyncio.get_running_loop()

        def told(sighting: Sighting) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits for it any more
                loop.call_soon_threadsafe(self._heard, opened, run_id, sighting)

        opened.poller.follow(run_id, told)

    def _heard(self, opened: _Opened, run_id: int, sighting: Sighting) -> None:
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
                await asyncio.sleep(min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(failures, 10)))
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


def _without_token(error: ApiError | ClusterUnreachable, namespace: str, name: str) -> str:
    place = "spec.backend.databricks.serviceAccountName"
    if isinstance(error, ApiError) and error.not_found:
        return (
            f"{place}: there is no ServiceAccount {name} in namespace {namespace}. Create it; the run goes on by "
            "itself."
        )
    if isinstance(error, ApiError) and error.forbidden:
        return (
            f"{place}: the operator may not have a token of ServiceAccount {name} in namespace {namespace} made. Its "
            "role needs the verb create for serviceaccounts/token; the run goes on by itself."
        )
    return f"A token of the ServiceAccount {name} could not be made: {error}"
