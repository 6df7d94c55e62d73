"""Workspaces as tests open them: with short pauses, and more time than any machine needs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from mlp.backends.databricks.access import ambient_access, token_access
from mlp.backends.databricks.workspace import Limits, connect
from mlp.tracking import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.backends.databricks.access import Access
    from mlp.backends.databricks.workspace import Workspace
    from tests.servers.databricks_workspace import WorkspaceForTests

__all__ = ["BRISK", "access_to", "opened"]

BRISK = Limits(timeout=60, patience=Patience(attempts=5, seconds=120, pause=0.02, longest_pause=0.1), largest=1 << 20)


def access_to(workspace: WorkspaceForTests) -> Access:
    if workspace.token is None:
        return ambient_access(os.environ, host=workspace.host)
    return token_access(workspace.host, workspace.token)


@contextlib.contextmanager
def opened(access: Access, limits: Limits = BRISK) -> Iterator[Workspace]:
    with connect(access, limits=limits) as workspace:
        yield workspace
