"""Where a workspace is and by what right it is asked: for a laptop what its user has configured, else what is given.

What is given is all there is: neither variables nor files of this machine add to it. Knows how to find credentials,
not how they are sent (`authorizing`), and sends nothing itself. The SDK, which takes a second and 80 MB to import, is
asked only for what a laptop may have beyond a token and a password; `ambient` does that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from mlp.errors import UsageError, WorkspaceDenied
from mlp.tracking.credentials import Credentials, Tls
from mlp.tracking.databricks import DEFAULT_PROFILE, workspace_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Access",
    "Ambient",
    "OAuthM2M",
    "Token",
    "WorkloadIdentity",
    "ambient_access",
    "identity_access",
    "m2m_access",
    "token_access",
    "token_endpoint",
]


@dataclass(frozen=True, slots=True)
class Token:
    """A personal access token, or any other that does not change."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuthM2M:
    """A service principal's id and OAuth secret, for which the workspace gives tokens that last an hour."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """Somebody else's signed word for who asks, which the workspace exchanges for a token (RFC 8693).

    Attributes:
        client_id: The service principal whose federation policy trusts it; None for a policy of the whole account.
        id_token: Gives a token of the identity, anew each time: it is asked for and forgotten.
        audience: Whom that token is meant for. For messages: who makes the token puts it in.
    """

    client_id: str | None
    id_token: Callable[[], str] = field(repr=False)
    audience: str


@dataclass(frozen=True, slots=True)
class Ambient:
    """Whatever the user of this machine has configured.

    Attributes:
        headers: Gives the headers that say who asks, renewed as needed.
        secrets: Texts that must not appear in anything we say.
    """

    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


Method: TypeAlias = Token | OAuthM2M | WorkloadIdentity | Ambient


@dataclass(frozen=True, slots=True)
class Access:
    """A workspace, and the way in.

    Attributes:
        host: Its URL, without a slash at the end. ``http://`` is taken as it is: tokens travel in the clear then,
            which is for tests and for proxies that add TLS.
        method: Who asks.
        tls: Whom to believe, besides or instead of what REQUESTS_CA_BUNDLE names.
    """

    host: str
    method: Method
    tls: Tls = field(default_factory=Tls)

    @property
    def shown(self) -> str:
        """Its name for messages."""
        return f"Databricks ({self.host})"


def token_access(host: str, token: str, *, tls: Tls | None = None) -> Access:
    """Ask with a personal access token.

    Raises:
        UsageError: The host is none, or the token cannot be one.
    """
    return Access(_address(host), Token(_sendable(token, "The Databricks token")), tls or Tls())


def m2m_access(host: str, client_id: str, client_secret: str, *, tls: Tls | None = None) -> Access:
    """Ask as a service principal, by its OAuth secret.

    Raises:
        UsageError: The host is none, or id or secret cannot be one.
    """
    method = OAuthM2M(
        _sendable(client_id, "The service principal's client id"),
        _sendable(client_secret, "The service principal's client secret"),
    )
    return Access(_address(host), method, tls or Tls())


def identity_access(
    host: str,
    client_id: str | None,
    id_token: Callable[[], str],
    audience: str | None = None,
    *,
    tls: Tls | None = None,
) -> Access:
    """Ask as whom an identity provider says we are.

    Args:
        host: The workspace.
        client_id: The service principal whose federation policy trusts the identity; None for the account's policy.
        id_token: Gives the identity's token, anew each time; MlpError if it cannot.
        audience: The audience of that token; the workspace's token endpoint if None.
        tls: Whom to believe.

    Raises:
        UsageError: The host is none.
    """
    address = _address(host)
    return Access(address, WorkloadIdentity(client_id, id_token, audience or token_endpoint(address)), tls or Tls())


def token_endpoint(host: str) -> str:
    """Where a workspace gives out tokens: also the usual audience of the identity tokens that are brought there."""
    return f"{_address(host)}/oidc/v1/token"


def ambient_access(variables: Mapping[str, str], *, profile: str | None = None, host: str | None = None) -> Access:
    """Ask as the user of this machine would, by the whole chain of databricks-sdk.

    A token, or a name and password, in variables or a profile are read without the SDK. It is asked for everything
    else, and reads this process' own variables then.

    Args:
        variables: The environment.
        profile: A profile of ~/.databrickscfg; None for DATABRICKS_CONFIG_PROFILE, else variables, else DEFAULT.
        host: A workspace that counts instead of the configured one.

    Raises:
        UsageError: There is no such profile, or the host is none.
        WorkspaceDenied: There are no credentials.
        WorkspaceUnavailable: Who gives them does not answer.
        WorkspaceError: databricks-sdk is needed, and is not installed.
    """
    profile = profile or variables.get("DATABRICKS_CONFIG_PROFILE") or None
    settings = workspace_settings(profile, variables)
    if host is not None and settings.get("host") and _address(host) != _address(settings["host"]):
        raise UsageError(
            f"{host} is not the workspace that credentials are configured for ({settings['host']}), and they are sent "
            "to no other: set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile of ~/.databrickscfg for it."
        )
    given = host or settings.get("host")
    tls = Tls(verify=settings.get("insecure", "").lower() not in {"true", "1"})
    token = settings.get("token")
    if token is None and not settings.get("host") and given:
        token = variables.get("DATABRICKS_TOKEN")
    if given and token:
        return token_access(given, token, tls=tls)
    credentials = Credentials(settings.get("username"), settings.get("password"))
    if given and credentials.headers:
        return Access(_address(given), Ambient(lambda: credentials.headers, credentials.secrets), tls)
    from mlp.backends.databricks.ambient import configured  # noqa: PLC0415 -- imports the SDK

    found = _found(profile, settings, given, variables)
    configuration = configured(profile=profile, host=None if given is None else _address(given), found=found)
    if not configuration.host:
        raise WorkspaceDenied(
            f"No Databricks workspace is configured. {found}Set DATABRICKS_HOST and DATABRICKS_TOKEN, or make a "
            "profile in ~/.databrickscfg with `databricks configure`."
        )
    return Access(_address(configuration.host), Ambient(configuration.headers, configuration.secrets), tls)


def _found(profile: str | None, settings: Mapping[str, str], host: str | None, variables: Mapping[str, str]) -> str:
    """What there is of a host and a token, and what is missing: the middle of a message. "" if there is nothing."""
    if profile is None and (variables.get("DATABRICKS_HOST") or not settings):
        if host:
            named = "DATABRICKS_HOST" if variables.get("DATABRICKS_HOST") else "the backend's configuration"
            return f"{named} names {_address(host)}, and DATABRICKS_TOKEN is not set. "
        return "DATABRICKS_TOKEN is set, and DATABRICKS_HOST is not. " if variables.get("DATABRICKS_TOKEN") else ""
    file = variables.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg"
    there = f"the host {_address(host)}" if host else "no host"
    token = "a token" if settings.get("token") else "no token"
    return f"The profile '{profile or DEFAULT_PROFILE}' of {file} has {there} and {token}. "


def _address(host: str) -> str:
    """The URL of a workspace. What a browser shows behind it (``/?o=1234``) is left out."""
    text = host.strip()
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        has_user, hostname, _ = "@" in parts.netloc, parts.hostname, parts.port
    except ValueError:
        has_user, hostname, parts = "@" in url, None, urlsplit("")
    if has_user:
        raise UsageError(
            "The Databricks host has credentials in it, which are not taken from there: write https://HOST."
        )
    if parts.scheme.lower() not in {"https", "http"} or not hostname or not text.isprintable() or " " in text:
        raise UsageError(f"The Databricks host '{host}' is none: write https://HOST, as a browser shows it.")
    return f"{parts.scheme.lower()}://{parts.netloc}{parts.path}".rstrip("/")


def _sendable(text: str, what: str) -> str:
    """A secret often comes from a file, with a line break at its end."""
    stripped = text.strip()
    if not stripped:
        raise UsageError(f"{what} is empty.")
    if not (stripped.isascii() and stripped.isprintable()):
        raise UsageError(f"{what} has characters in it that none has: it may be damaged, or another thing.")
    return stripped
