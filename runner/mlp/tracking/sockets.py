"""The sockets of a session, so that they can be cut from another thread.

A time limit for each read is none for a server that sends a byte at a time, and a thread cannot be ended from outside;
its socket can. Knows nothing of what is sent.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

__all__ = ["Sockets"]


class Sockets:
    """Keeps track of open sockets. Safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._cut = False

    @property
    def are_cut(self) -> bool:
        """Whether it is over."""
        return self._cut

    def add(self, opened: object) -> None:
        """Take note of a socket; it is cut at once if all are."""
        if not isinstance(opened, socket.socket):
            return  # TLS inside of a proxy's TLS: the proxy is ours
        with self._lock:
            self._open.add(opened)
            cut = self._cut
        if cut:
            _shut(opened)

    def cut(self) -> None:
        """End all connections, those that are still to come among them."""
        with self._lock:
            self._cut = True
            found = list(self._open)
        for opened in found:
            _shut(opened)

    def adapter(self, size: int) -> requests.adapters.HTTPAdapter:
        """What a session of requests sends through, with so many connections at the most kept open."""
        import requests  # noqa: PLC0415 -- whoever calls has loaded it
        import urllib3  # noqa: PLC0415

        sockets = self

        class Plain(urllib3.connection.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        class Secure(urllib3.connection.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        pools = {"http": PlainPool, "https": SecurePool}

        class Adapter(requests.adapters.HTTPAdapter):
            def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 -- as its base has it
                super().init_poolmanager(*arguments, **options)
                self.poolmanager.pool_classes_by_scheme = pools

            def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as its base has it
                manager = super().proxy_manager_for(*arguments, **options)
                manager.pool_classes_by_scheme = pools
                return manager

        return Adapter(pool_maxsize=size)


def _shut(opened: socket.socket) -> None:
    # Closing would not wake whoever reads; and it may be closed already.
    with contextlib.suppress(OSError, ValueError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
