"""How a tracking server is addressed and by what right: the variables and files that MLflow reads, and the URI itself.

Credentials that stand in a URI are taken out of it at once, so that the URI may be shown, logged and stored. Reads the
environment and ~/.mlflow/credentials; sends nothing.
"""

from __future__ import annotations

import base64
import configparser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from mlp.errors import UsageError
from mlp.tracking.names import ENV_PASSWORD, ENV_USERNAME

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Credentials", "ServerAccess", "Tls", "spellings", "without_user"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password, or a token. MLflow prefers the former where both are set, and so do we."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def ambient(cls, variables: Mapping[str, str]) -> Credentials:
        """What the environment says, and what ~/.mlflow/credentials adds."""
        stored = _stored()
        return cls(
            username=variables.get(ENV_USERNAME) or stored.get(ENV_USERNAME.lower()),
            password=variables.get(ENV_PASSWORD) or stored.get(ENV_PASSWORD.lower()),
            token=variables.get("MLFLOW_TRACKING_TOKEN") or None,
        )

    @property
    def headers(self) -> dict[str, str]:
        """The header that says who asks; none without credentials."""
        if self.username and self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        return {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in anything we say."""
        given = (self.password, self.token, *(value.partition(" ")[2] for value in self.headers.values()))
        return tuple(text for text in given if text)


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to believe, and a certificate of our own.

    Attributes:
        verify: False for nobody's certificate, or a file with authorities. True: the usual ones, or those that
            REQUESTS_CA_BUNDLE names.
        certificate: A file with our certificate and key.
    """

    verify: bool | str = True
    certificate: str | None = None

    @classmethod
    def ambient(cls, variables: Mapping[str, str]) -> Tls:
        """What MLflow's variables say.

        Raises:
            UsageError: They contradict each other, or name a file that is not there.
        """
        insecure = variables.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}
        authorities = variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None
        certificate = variables.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
        if insecure and authorities is not None:
            raise UsageError(
                "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH contradict each other: unset one."
            )
        for name, file in (("SERVER", authorities), ("CLIENT", certificate)):
            if file is not None and not Path(file).exists():
                raise UsageError(f"MLFLOW_TRACKING_{name}_CERT_PATH names {file}, and there is no such file.")
        return cls(verify=not insecure if authorities is None else authorities, certificate=certificate)


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """How a server is reached, for those who fetch artifacts through it.

    Attributes:
        url: Its address, without credentials.
        headers: What every request must carry. Empty: nothing, and ~/.netrc may be asked.
        tls: Whom to believe.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    tls: Tls


def without_user(uri: str) -> tuple[str, Credentials]:
    """Take user name and password out of a URI.

    Returns:
        The URI without them, and they.
    """
    parts = urlsplit(uri)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return uri, Credentials()
    username, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=host)), Credentials(unquote(username) or None, unquote(password) or None)


def spellings(secret: str) -> tuple[str, ...]:
    """The ways in which a secret may stand in a text: as it is, and as part of a URL."""
    return tuple(dict.fromkeys((secret, quote(secret, safe=""), quote(secret))))


def _stored() -> configparser.SectionProxy | dict[str, str]:
    # Passwords may hold a percent sign: no interpolation.
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(Path("~/.mlflow/credentials").expanduser(), encoding="utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError, configparser.Error):
        # As for MLflow, a file that cannot be used is none: the server says what is missing.
        return {}
    return file["mlflow"] if file.has_section("mlflow") else {}
