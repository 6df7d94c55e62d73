"""``dbfs:``: files of a Databricks workspace.

Volumes (``dbfs:/Volumes/…``) come through the Files API, which streams and knows ranges. All else comes through the
older DBFS API, a megabyte a request. Neither has checksums: sizes and times of change are compared. The workspace and
the way in are those that mlp.tracking finds, and ``dbfs://PROFILE@databricks/path`` names a profile.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from mlp.data.databricks.dbfs_api import DbfsFiles
from mlp.data.databricks.files_api import VolumeFiles
from mlp.data.web import Web
from mlp.errors import DataAccessDenied, DataInvalid, MlpError, UsageError
from mlp.tracking.databricks import find_workspace

if TYPE_CHECKING:
    from requests import PreparedRequest

    from mlp.data.address import Address
    from mlp.data.origin import Context
    from mlp.tracking.databricks import Workspace

__all__ = ["open_origin"]

_WAY: Final = "Set DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile of ~/.databrickscfg (DATABRICKS_CONFIG_PROFILE)."


def open_origin(address: Address, context: Context) -> DbfsFiles | VolumeFiles:
    """The way to a file or directory.

    Raises:
        DataInvalid: The URI or a setting is malformed.
        DataAccessDenied: There are no credentials.
    """
    profile, at, host = address.host.rpartition("@")
    # "dbfs://FileStore/x" is what people write for "dbfs:/FileStore/x".
    path = address.path if at or host in {"", "databricks"} else f"{host}/{address.path}"
    path = f"/{path.strip('/')}"
    workspace = _workspace(f"databricks://{profile}" if profile else "databricks", shown=address.shown)
    web = Web(threads=context.threads, shown=address.shown, way_to_authenticate=_WAY, verify=workspace.tls.verify)
    web.session.auth = _Signature(workspace)
    if path.startswith("/Volumes/"):
        return VolumeFiles(web, workspace.host, path)
    return DbfsFiles(web, workspace.host, path)


def _workspace(uri: str, *, shown: str) -> Workspace:
    try:
        return find_workspace(uri, os.environ)
    except UsageError as error:
        raise DataInvalid(f"{shown} cannot be read: {error}") from None
    except MlpError as error:
        raise DataAccessDenied(f"{shown} cannot be read: {error} {_WAY}") from None


class _Signature:
    """Says who asks, anew for each request: tokens are renewed while a long download goes on."""

    def __init__(self, workspace: Workspace) -> None:
        self._authenticate = workspace.authenticate

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update(self._authenticate())
        return request
