"""The tracking server as a place that serves artifacts: its address, and the way in.

Both are what mlp.tracking takes them for. Credentials go to that server alone: an artifact URI may name another host,
and whoever wrote it must not be sent what belongs to the user's own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlp.data.web import Web
from mlp.errors import DataInvalid, UsageError
from mlp.tracking.credentials import Credentials, Tls, without_user

if TYPE_CHECKING:
    import requests

    from mlp.data.origin import Context

__all__ = ["Server", "find_server", "server_uri"]

_WAY: Final = (
    "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; they are sent to the host of "
    "the tracking URI only."
)


class Server:
    """A server and how to ask it.

    Attributes:
        url: Its address, with the prefix below which it serves, without a slash at the end.
        web: A session that says who asks.
    """

    def __init__(self, url: str, web: Web) -> None:
        self.url = url
        self.web = web


def server_uri(context: Context) -> str:
    """The tracking URI that counts; "" if there is none."""
    return context.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")


def find_server(context: Context, *, host: str, shown: str) -> Server:
    """The server that a URI means.

    Args:
        context: Names the tracking server.
        host: The host that the URI names; "" is the tracking server.
        shown: The URI for people.

    Raises:
        DataInvalid: No server can be meant.
    """
    uri = server_uri(context)
    parts = urlsplit(uri)
    over_http = parts.scheme in {"http", "https"} and bool(parts.hostname)
    if not over_http and not host:
        raise DataInvalid(
            f"{shown} is served by a tracking server, and there is none: set MLFLOW_TRACKING_URI to its http:// or "
            f"https:// address."
        )
    address, own = without_user(uri.rstrip("/"))
    ours = over_http and host.rpartition("@")[2].lower() in {"", urlsplit(address).netloc.lower()}
    if not ours:
        scheme = parts.scheme if over_http else "https"
        address = f"{scheme}://{host.rpartition('@')[2]}{parts.path.rstrip('/') if over_http else ''}"
    try:
        credentials = (own if own.username else Credentials.ambient(os.environ)) if ours else Credentials()
        if own.username and not own.password:
            credentials = Credentials.ambient(os.environ)
        tls = Tls.ambient(os.environ)
    except UsageError as error:
        raise DataInvalid(str(error)) from None
    web = Web(threads=context.threads, shown=shown, way_to_authenticate=_WAY, verify=tls.verify)
    if tls.certificate is not None and ours:
        web.session.cert = tls.certificate
    headers = {**credentials.headers, **_workspace()} if ours else {}
    if headers:
        web.session.auth = _signing(headers)
    return Server(address, web)


def _workspace() -> dict[str, str]:
    workspace = os.environ.get("MLFLOW_WORKSPACE", "").strip()
    return {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}


class _signing:  # noqa: N801 -- used as a function
    """Says who asks. Not a header of the session: requests would let ~/.netrc win over that."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request
