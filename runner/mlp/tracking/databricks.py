"""Where a Databricks workspace is and by what right we ask it: variables, a profile of ~/.databrickscfg, or the SDK.

Tokens and passwords are read here; the many other kinds of credentials (OAuth, Azure, federation) are left to
databricks-sdk, which is imported only for them: it takes a second. Sends nothing itself.
"""

from __future__ import annotations

import configparser
import os.path
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import TrackingDenied, TrackingError, UsageError
from mlp.tracking.credentials import Credentials, Tls
from mlp.tracking.names import ENV_TRACKING_URI

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Workspace", "find_workspace", "is_databricks", "workspace_settings"]

DEFAULT_PROFILE: Final = "DEFAULT"
# What a project's command is given, as MLflow gives it.
PASSED_ON: Final = ("host", "username", "password", "token", "insecure", "client_id", "client_secret")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace, and the way in.

    Attributes:
        host: Its URL.
        authenticate: Gives the headers for a request.
        secrets: Texts that must not appear in anything we say.
        variables: What a project's command needs to get in, too.
    """

    host: str
    authenticate: Callable[[], Mapping[str, str]] = field(repr=False)
    tls: Tls
    secrets: tuple[str, ...] = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)


def is_databricks(uri: str) -> bool:
    """Does a tracking URI mean Databricks."""
    return uri == "databricks" or uri.startswith("databricks:")


def find_workspace(uri: str, variables: Mapping[str, str]) -> Workspace:
    """Understand ``databricks`` and ``databricks://profile``.

    Raises:
        UsageError: The URI is malformed, or names a profile that there is not.
        TrackingDenied: There are no credentials.
    """
    profile = _profile(uri) or variables.get("DATABRICKS_CONFIG_PROFILE")
    settings = workspace_settings(profile, variables)
    credentials = Credentials(settings.get("username"), settings.get("password"), settings.get("token"))
    # As everywhere for Databricks, a token comes first: a user name beside it is only information.
    if credentials.token:
        credentials = Credentials(token=credentials.token)
    headers = credentials.headers
    passed_on = {f"DATABRICKS_{name.upper()}": settings[name] for name in PASSED_ON if settings.get(name)}
    insecure = settings.get("insecure", "").lower() in {"true", "1"}
    if settings.get("host") and headers:
        return Workspace(
            host=_url(settings["host"]),
            authenticate=lambda: headers,
            tls=Tls(verify=not insecure),
            secrets=credentials.secrets,
            variables={ENV_TRACKING_URI: "databricks", **passed_on},
        )
    return _by_sdk(uri, profile, settings, passed_on)


def _profile(uri: str) -> str | None:
    if uri == "databricks":
        return None
    profile = uri.removeprefix("databricks://")
    if profile == uri or not profile.strip("/"):
        raise UsageError(f"The tracking URI '{uri}' is malformed: write `databricks`, or `databricks://profile`.")
    if ":" in profile:
        raise UsageError(
            f"The tracking URI '{uri}' names a secret scope, which only a Databricks cluster can read: write "
            "`databricks` there, and a profile of ~/.databrickscfg (`databricks://profile`) elsewhere."
        )
    return profile.strip("/")


def workspace_settings(profile: str | None, variables: Mapping[str, str]) -> dict[str, str]:
    """The profile alone where one is named; else the variables, and the default profile where they say nothing.

    Raises:
        UsageError: There is no such profile, or the file of profiles cannot be read.
    """
    if profile is None:
        given = {name: variables.get(f"DATABRICKS_{name.upper()}") for name in PASSED_ON}
        found = {name: value for name, value in given.items() if value}
        if "host" in found:
            return found
    file = Path(os.path.expanduser(variables.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg"))  # noqa: PTH111 -- pathlib's fails without a home
    # A DEFAULT section must not show through in the others, and tokens may hold a percent sign.
    profiles = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        profiles.read(file, encoding="utf-8")
    except (OSError, UnicodeDecodeError, configparser.Error):
        # The parser's own message shows lines of the file, and there are tokens in it.
        raise UsageError(f"{file} cannot be read as a file of Databricks profiles.") from None
    if profiles.has_section(profile or DEFAULT_PROFILE):
        return dict(profiles[profile or DEFAULT_PROFILE])
    if profile is not None:
        raise UsageError(
            f"There is no profile '{profile}' in {file}. It has: {', '.join(profiles.sections()) or 'none'}. Make one "
            f"with `databricks configure --profile {profile}`."
        )
    return {}


def _by_sdk(uri: str, profile: str | None, settings: Mapping[str, str], passed_on: Mapping[str, str]) -> Workspace:
    try:
        from databricks.sdk.config import Config  # noqa: PLC0415 -- see above
    except ImportError:
        raise TrackingError(
            f"The tracking URI '{uri}' needs credentials: a token (DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile "
            "in ~/.databrickscfg). Other kinds of credentials need databricks-sdk: "
            "pip install 'mlp-operator[databricks]'."
        ) from None
    # Without limits, it asks a host that does not answer for five minutes.
    options: dict[str, Any] = {"retry_timeout_seconds": 15, "http_timeout_seconds": 10}
    if profile is not None:
        options["profile"] = profile
    try:
        config = Config(**options)
        config.authenticate()
    except Exception as error:  # noqa: BLE001 -- the SDK raises whatever its kinds of credentials do
        # Its messages name the kinds that it tried, and mask what they hold.
        raise TrackingDenied(f"Databricks credentials for the tracking URI '{uri}' do not work: {error}") from None
    lock = threading.Lock()

    def authenticate() -> Mapping[str, str]:
        with lock:  # it may renew a token
            headers: dict[str, str] = config.authenticate()
            return headers

    # What the variables cannot say, the profile does: the command reads the same file.
    whole = "client_id" in settings or profile is None
    return Workspace(
        host=_url(str(config.host)),
        authenticate=authenticate,
        tls=Tls(verify=settings.get("insecure", "").lower() not in {"true", "1"}),
        secrets=tuple(value for name, value in settings.items() if "secret" in name or name in {"token", "password"}),
        variables={ENV_TRACKING_URI: "databricks", **passed_on} if whole else {ENV_TRACKING_URI: uri},
    )


def _url(host: str) -> str:
    return (host if "://" in host else f"https://{host}").rstrip("/")
