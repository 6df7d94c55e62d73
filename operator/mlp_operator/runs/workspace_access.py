"""By which right a run asks its Databricks workspace: what its spec and its Secret say. Pure; sends nothing.

The operator's own identity, variables and profiles never count: a run gets what its own namespace gives it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from mlp.errors import WorkspaceDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.resources import DatabricksBackend

__all__ = ["Entrance", "WayIn", "way_in"]

_FIELD: Final = "spec.backend.databricks"
_HOST: Final = ("host", "DATABRICKS_HOST")
_TOKEN: Final = ("token", "DATABRICKS_TOKEN")
_CLIENT_ID: Final = ("clientId", "DATABRICKS_CLIENT_ID")
_CLIENT_SECRET: Final = ("clientSecret", "DATABRICKS_CLIENT_SECRET")
_OF_THE_CLUSTER: Final = re.compile(r"(https?://)?kubernetes\.default(?![^./:])", re.IGNORECASE)
"""Audiences that API servers have unless they are told otherwise."""

Method = Literal["Token", "OAuthM2M", "WorkloadIdentity"]


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where credentials come from. Runs with the same entrance ask the same workspace by the same right.

    Attributes:
        namespace: The runs' namespace. Nothing is shared beyond it.
        host: What the spec says.
        secret: The Secret's name.
        method: What the spec says.
        service_account: For WorkloadIdentity, what the spec says.
        client_id: Likewise.
        audience: Likewise.
    """

    namespace: str
    host: str | None = None
    secret: str | None = None
    method: Method | None = None
    service_account: str | None = None
    client_id: str | None = None
    audience: str | None = None

    @classmethod
    def of(cls, namespace: str, backend: DatabricksBackend) -> Entrance:
        """The entrance that a run's spec describes."""
        return cls(
            namespace,
            backend.host,
            None if backend.secret_ref is None else backend.secret_ref.name,
            backend.auth,
            backend.service_account_name,
            backend.client_id,
            backend.audience,
        )


@dataclass(frozen=True, slots=True)
class WayIn:
    """What it takes to ask a workspace.

    Attributes:
        host: Its URL, without a slash at the end.
        method: How to authenticate.
        token: For Token.
        client_id: For OAuthM2M, and for WorkloadIdentity with a service principal's own policy.
        client_secret: For OAuthM2M.
        service_account: For WorkloadIdentity.
        audience: For WorkloadIdentity.
    """

    host: str
    method: Method
    token: str = field(default="", repr=False)
    client_id: str | None = None
    client_secret: str = field(default="", repr=False)
    service_account: str = ""
    audience: str = ""


def way_in(entrance: Entrance, secret: Mapping[str, Any] | None, *, plain_http: bool = False) -> WayIn:
    """Read how a run's workspace is asked.

    Args:
        entrance: What the spec says.
        secret: The Secret that it names, as the API server gives it.
        plain_http: Whether a workspace may be named by http://.

    Raises:
        WorkspaceDenied: Something is missing, or two things contradict each other. Each is named.
    """
    given = _Given(entrance, secret)
    host = _host(entrance, given, plain_http=plain_http)
    method = entrance.method or _allowed(entrance, given)
    match method:
        case "Token":
            return WayIn(host, method, token=given.wanted(_TOKEN, method))
        case "OAuthM2M":
            client_id, client_secret = given.wanted(_CLIENT_ID, method), given.wanted(_CLIENT_SECRET, method)
            return WayIn(host, method, client_id=client_id, client_secret=client_secret)
        case "WorkloadIdentity":
            return WayIn(
                host,
                method,
                client_id=entrance.client_id or given.get(_CLIENT_ID),
                service_account=entrance.service_account or "default",
                audience=_audience(entrance, host),
            )


def _audience(entrance: Entrance, host: str) -> str:
    audience = entrance.audience or f"{host}/oidc/v1/token"
    if _OF_THE_CLUSTER.match(audience):
        raise WorkspaceDenied(
            f"{_FIELD}.audience is {audience}, whom the cluster itself believes: a token for it is sent to nobody "
            "else. Name the audience of Databricks' federation policy in a new ProjectRun."
        )
    return audience


class _Given:
    """The texts of a Secret, by any of their names."""

    def __init__(self, entrance: Entrance, secret: Mapping[str, Any] | None) -> None:
        self._name = entrance.secret
        self._data: Mapping[str, str] = (secret or {}).get("data") or {}

    def get(self, names: tuple[str, ...]) -> str | None:
        found = {name: text for name in names if name in self._data and (text := self._text(name))}
        if len(set(found.values())) > 1:
            raise WorkspaceDenied(
                f"The Secret {self._name} of {_FIELD}.secretRef says two things: {' and '.join(found)} differ. Remove "
                "one of the keys."
            )
        return next(iter(found.values()), None)

    def wanted(self, names: tuple[str, ...], method: Method) -> str:
        found = self.get(names)
        if found is not None:
            return found
        keys = "token" if method == "Token" else "clientId and clientSecret"
        if self._name is None:
            raise WorkspaceDenied(
                f"{_FIELD}.auth {method} needs credentials: name a Secret with {keys} in {_FIELD}.secretRef of a new "
                "ProjectRun."
            )
        raise WorkspaceDenied(
            f"The Secret {self._name} of {_FIELD}.secretRef has no key {' or '.join(names)}, which {method} needs. Add "
            "it, then create a new ProjectRun."
        )

    def _text(self, key: str) -> str:
        try:
            # A line's end is easily written into a Secret, and belongs to no credential.
            text = base64.b64decode(self._data[key], validate=True).decode().strip()
        except (binascii.Error, UnicodeDecodeError):
            raise WorkspaceDenied(f"The key {key} of Secret {self._name} is no text.") from None
        if not (text.isascii() and text.isprintable()):
            raise WorkspaceDenied(
                f"The key {key} of Secret {self._name} has characters in it that no credential has: line breaks, or "
                "others than ASCII. Write it anew, then create a new ProjectRun."
            )
        return text


def _allowed(entrance: Entrance, given: _Given) -> Method:
    """The way of authentication, where the spec names none."""
    token = given.get(_TOKEN)
    pair = given.get(_CLIENT_SECRET)
    if token is not None and pair is not None:
        raise WorkspaceDenied(
            f"The Secret {entrance.secret} of {_FIELD}.secretRef has both a token and a clientSecret. Remove one of "
            f"them, or say in {_FIELD}.auth of a new ProjectRun which counts: Token or OAuthM2M."
        )
    if token is not None:
        return "Token"
    if pair is not None:
        return "OAuthM2M"
    if entrance.service_account or entrance.client_id or entrance.audience:
        return "WorkloadIdentity"
    if entrance.secret is None:
        raise WorkspaceDenied(
            f"Nothing says by which right the workspace is asked. Name a Secret with token, or clientId and "
            f"clientSecret, in {_FIELD}.secretRef of a new ProjectRun, or set {_FIELD}.auth WorkloadIdentity."
        )
    raise WorkspaceDenied(
        f"The Secret {entrance.secret} of {_FIELD}.secretRef has no credentials: neither token nor clientId and "
        "clientSecret are among its keys. Add them, then create a new ProjectRun."
    )


def _host(entrance: Entrance, given: _Given, *, plain_http: bool) -> str:
    in_secret = given.get(_HOST)
    if entrance.host is None and in_secret is None:
        place = f"or in the key host of the Secret {entrance.secret}" if entrance.secret else "as https://HOST"
        raise WorkspaceDenied(f"No workspace is named: give {_FIELD}.host in a new ProjectRun, {place}.")
    places = {f"{_FIELD}.host": entrance.host, f"The key host of Secret {entrance.secret}": in_secret}
    found = {where: _url(text, where) for where, text in places.items() if text is not None}
    if len(set(found.values())) > 1:
        wanted, meant = found.values()
        raise WorkspaceDenied(
            f"{_FIELD}.host is {wanted}, and the Secret {entrance.secret} is for {meant}: "
            "its credentials are sent to no other workspace. Name the Secret of that workspace in a new ProjectRun."
        )
    where, host = next(iter(found.items()))
    if host.startswith("http://") and not plain_http:
        raise WorkspaceDenied(
            f"{where} is {host}: by http:// the credentials would travel in clear text. Write https://, or let the "
            "operator's settings allow it (MLP_DATABRICKS_PLAIN_HTTP)."
        )
    return host


def _url(text: str, where: str) -> str:
    """A workspace's URL as it is written in one way only. What a browser shows behind the host is left out."""
    url = text.strip()
    parts, hostname, port = None, None, None
    with contextlib.suppress(ValueError):
        parts = urlsplit(url if "://" in url else f"https://{url}")
        hostname, port = parts.hostname, parts.port
    if parts is None or hostname is None or parts.scheme not in {"https", "http"} or "@" in parts.netloc or " " in url:
        raise WorkspaceDenied(f"{where} is no URL of a workspace: write https://HOST, without anything else.")
    shown = f"[{hostname}]" if ":" in hostname else hostname
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
