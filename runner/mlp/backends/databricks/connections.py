"""One connection and one poll loop for all runs of a program in one workspace: it may start hundreds."""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlp.backends.databricks.access import ambient_access
from mlp.backends.databricks.polling import Poller
from mlp.backends.databricks.workspace import connect

if TYPE_CHECKING:
    from mlp.backends.databricks.workspace import Workspace

__all__ = ["Connection", "close_all", "connection"]


@dataclass(frozen=True, slots=True)
class Connection:
    """A workspace, and who looks at its runs."""

    workspace: Workspace
    poller: Poller


_opened: dict[object, Connection] = {}
_opening = threading.Lock()


def connection(*, profile: str | None = None, host: str | None = None, poll_interval: float = 10.0) -> Connection:
    """The connection to a workspace as the user of this machine has it, opened by whoever asks first.

    Args:
        profile: A profile of ~/.databrickscfg.
        host: The workspace's URL.
        poll_interval: Seconds between two looks at its runs.

    Raises:
        UsageError: There is no such profile, or the host is none.
        WorkspaceError: There are no credentials, or they cannot be had.
    """
    # A forked process must not share its parent's connections, and what says who asks may change while a program runs.
    variables = sorted((name, value) for name, value in os.environ.items() if _concerns_access(name))
    key = (os.getpid(), profile, host, poll_interval, tuple(variables))
    with _opening:
        if key not in _opened:
            workspace = connect(ambient_access(os.environ, profile=profile, host=host))
            _opened[key] = Connection(workspace, Poller(workspace, period=poll_interval))
        return _opened[key]


def close_all() -> None:
    """Close every connection. Runs that are followed are not looked at any more."""
    with _opening:
        opened = list(_opened.values())
        _opened.clear()
    for each in opened:
        each.poller.close()
        each.workspace.close()


def _concerns_access(name: str) -> bool:
    return name.startswith(("DATABRICKS_", "ARM_", "GOOGLE_")) or name == "HOME"


def _forget() -> None:
    """In a forked child: what is open is its parent's, and the lock may be held by a thread that is not there."""
    global _opening  # noqa: PLW0603 -- as it belongs to the process
    _opened.clear()
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_forget)
atexit.register(close_all)
