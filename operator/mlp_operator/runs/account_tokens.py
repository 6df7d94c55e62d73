"""The edge to tokens of ServiceAccounts, by which workspaces are asked that trust the cluster: asked for and forgotten.

Whatever thread needs one waits for it here, while the loop asks the API server.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Final

from mlp.errors import WorkspaceUnavailable
from mlp_operator.machinery.cluster import ApiError, ClusterUnreachable

if TYPE_CHECKING:
    from mlp_operator.machinery.cluster import Cluster

__all__ = ["AccountTokens"]

_LIFE: Final = 600
"""Seconds that a token is good for. It is exchanged at once."""


class AccountTokens:
    """Tokens of the ServiceAccounts of one namespace.

    Args:
        cluster: Who makes them.
        namespace: The namespace.
        timeout: Seconds that one request may take.
    """

    def __init__(self, cluster: Cluster, namespace: str, timeout: float) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._timeout = timeout
        self._awaited: set[concurrent.futures.Future[str]] = set()

    def get(self, name: str, audience: str, loop: asyncio.AbstractEventLoop) -> str:
        """A token, in any thread but the loop's.

        Args:
            name: The ServiceAccount.
            audience: Who shall believe it.
            loop: Where the API server is asked.

        Raises:
            WorkspaceUnavailable: There is none for now.
        """
        if loop.is_closed():
            raise WorkspaceUnavailable("The operator is stopping.")
        asking = self._cluster.token(self._namespace, name, audience=audience, seconds=_LIFE)
        token = asyncio.run_coroutine_threadsafe(asking, loop)
        self._awaited.add(token)
        try:
            # A second more than the request itself has.
            return token.result(self._timeout + 1)
        except (TimeoutError, concurrent.futures.CancelledError):
            token.cancel()
            raise WorkspaceUnavailable(f"There was no token of the ServiceAccount {name} in time.") from None
        except (ApiError, ClusterUnreachable) as error:
            raise WorkspaceUnavailable(self._without(error, name)) from None
        finally:
            self._awaited.discard(token)

    def close(self) -> None:
        """Whoever waits for a token is told that there is none."""
        for token in list(self._awaited):
            token.cancel()

    def _without(self, error: ApiError | ClusterUnreachable, name: str) -> str:
        place = "spec.backend.databricks.serviceAccountName"
        if isinstance(error, ApiError) and error.not_found:
            return (
                f"{place}: there is no ServiceAccount {name} in namespace {self._namespace}. Create it; the run goes "
                "on by itself."
            )
        if isinstance(error, ApiError) and error.forbidden:
            return (
                f"{place}: the operator may not have a token of ServiceAccount {name} in namespace {self._namespace} "
                "made. Its role needs the verb create for serviceaccounts/token; the run goes on by itself."
            )
        return f"A token of the ServiceAccount {name} could not be made: {error}"
