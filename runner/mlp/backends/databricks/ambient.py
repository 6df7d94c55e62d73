"""Credentials of this machine's user that only databricks-sdk can find: OAuth, Azure, Google, the Databricks CLI.

The SDK waits for whom it asks without a limit of its own, in its constructor too. So each call has a thread, and who
waits for it does not wait longer than is reasonable. For laptops only: the SDK reads variables and files.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from mlp.errors import WorkspaceDenied, WorkspaceError, WorkspaceUnavailable
from mlp.tracking.texts import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Configuration", "configured"]

_Result = TypeVar("_Result")

LIMIT: Final = 60.0
LIMIT_OF_A_PERSON: Final = 300.0
"""Seconds for a login in a browser."""
SENSITIVE: Final = ("token", "password", "client_secret", "azure_client_secret", "google_credentials")
_NONE_FOUND: Final = "cannot configure default credentials"
"""The SDK's words for not even half of any kind of credentials."""
_WAY_OUT: Final = (
    "Set DATABRICKS_HOST and DATABRICKS_TOKEN, make a profile in ~/.databrickscfg with `databricks configure`, or "
    "configure any other kind that databricks-sdk takes: https://docs.databricks.com/dev-tools/auth"
)

_log = logging.getLogger(__name__)


class _NoneFound(WorkspaceDenied):
    """Not even half of any kind of credentials."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the SDK has found.

    Attributes:
        host: The workspace; "" if it found none.
        headers: Gives the headers for a request, renewed as needed.
        secrets: Texts that must not appear in anything we say.
    """

    host: str
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def configured(*, profile: str | None, host: str | None, limit: float | None = None, found: str = "") -> Configuration:
    """Ask the SDK.

    Args:
        profile: A profile of ~/.databrickscfg.
        host: The workspace; None for the one that is configured.
        found: What there is of credentials without it, as a sentence for messages, with a space behind it.
        limit: Seconds that it may take; None for what a machine needs, or a person if there is a login.

    Raises:
        WorkspaceError: The SDK is not installed.
        WorkspaceDenied: It finds no credentials, or they do not work.
        WorkspaceUnavailable: It does not come to an end.
    """
    try:
        from databricks.sdk.config import Config  # noqa: PLC0415 -- takes a second
    except ImportError:
        raise WorkspaceError(
            "Databricks wants credentials: a token (DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile in "
            "~/.databrickscfg). "
            f"{found}Other kinds of credentials need databricks-sdk: pip install 'mlp-operator[databricks]'."
        ) from None
    # It warns of what it then says again in its error, without knowing what has to be masked.
    logging.getLogger("databricks.sdk").setLevel(logging.ERROR)
    options: dict[str, Any] = {"retry_timeout_seconds": 15, "http_timeout_seconds": 10}
    options |= {name: value for name, value in {"profile": profile, "host": host}.items() if value is not None}
    by_person = os.environ.get("DATABRICKS_AUTH_TYPE") == "external-browser"
    limit = limit or (LIMIT_OF_A_PERSON if by_person else LIMIT)
    known = tuple(os.environ[name] for name in ("DATABRICKS_CLIENT_SECRET", "ARM_CLIENT_SECRET") if name in os.environ)
    _log.info("Asking for credentials%s…", f" for {host}" if host else "", extra={"transient": True})
    try:
        config = _limited(lambda: Config(**options), limit, known)
        secrets = tuple(value for name in SENSITIVE if isinstance(value := getattr(config, name, None), str) and value)
        headers = _Shared(config.authenticate, limit, secrets)
        headers()
    except _NoneFound:
        raise WorkspaceDenied(f"There are no credentials for Databricks here. {found}{_WAY_OUT}") from None
    return Configuration(str(config.host or ""), headers, secrets)


class _Shared:
    """A call that may hang: whoever needs it waits for the one that is under way, so that they do not pile up."""

    def __init__(self, call: Callable[[], Mapping[str, str]], limit: float, secrets: tuple[str, ...]) -> None:
        self._call = call
        self._limit = limit
        self._secrets = secrets
        self._lock = threading.Lock()
        self._under_way: _Attempt[Mapping[str, str]] | None = None

    def __call__(self) -> Mapping[str, str]:
        with self._lock:
            if self._under_way is None or self._under_way.is_over:
                self._under_way = _Attempt(self._call)
            attempt = self._under_way
        return attempt.result(self._limit, self._secrets)


class _Attempt(Generic[_Result]):
    """A call in a thread of its own, which ends with the process if not before."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        self._call = call
        self._over = threading.Event()
        self._results: list[_Result] = []
        self._error: Exception | None = None
        threading.Thread(target=self._work, name="mlp-databricks-sdk", daemon=True).start()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def result(self, limit: float, secrets: tuple[str, ...]) -> _Result:
        if not self._over.wait(limit):
            raise WorkspaceUnavailable(
                f"Credentials for Databricks could not be had within {limit:g} seconds: databricks-sdk still waits "
                "for whoever gives them. Check DATABRICKS_HOST and the network (HTTPS_PROXY, NO_PROXY)."
            )
        if self._error is not None:
            said = str(self._error)
            if _NONE_FOUND in said:
                raise _NoneFound(f"There are no credentials for Databricks here. {_WAY_OUT}") from None
            # Its messages name the kinds of credentials that it tried, and mask most of what they hold.
            raise WorkspaceDenied(
                f"The Databricks credentials of this machine do not work: {mask(said, secrets)}"
            ) from None
        return self._results[0]

    def _work(self) -> None:
        try:
            self._results.append(self._call())
        except Exception as error:  # noqa: BLE001 -- the SDK raises whatever its kinds of credentials do
            self._error = error
        finally:
            self._over.set()


def _limited(call: Callable[[], _Result], limit: float, secrets: tuple[str, ...]) -> _Result:
    return _Attempt(call).result(limit, secrets)
