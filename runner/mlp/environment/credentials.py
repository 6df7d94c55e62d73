"""Credentials for channels and indexes: found in addresses and variables, and kept apart from everything that is kept.

An address is split as early as it is read. What goes on, into hashes, lock files, metadata, messages, is the address
without its secret; the secret goes to the builder on its standard input, and from there to the tools in ways that leave
no trace: a private file for rattler that is gone once it was read, environment variables for uv.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Credential", "Secrets", "bare", "passwords_in", "split"]

_TOKEN: Final = re.compile(r"^/t/([^/]+)(?=/|$)")
_USER_INFO: Final = re.compile(r"(?<=://)([^/@\s]+)@")
_TOKEN_ANYWHERE: Final = re.compile(r"(?<=/t/)([^/\s$]+)(?=/)")
# Masking a text that short would only make messages unreadable.
_SHORTEST: Final = 4
_MASK: Final = "****"


@dataclass(frozen=True, slots=True)
class Credential:
    """What one host wants to see.

    Attributes:
        host: The host, without a port: rattler knows hosts by name only.
        username: Empty for a token.
        password: The password, or the token; empty for a token that stands in the place of a name: https://TOKEN@host/.
    """

    host: str
    password: str = field(repr=False)
    username: str = field(default="", repr=False)

    @property
    def secret(self) -> str:
        """What must not be shown."""
        return self.password or self.username

    def for_rattler(self) -> dict[str, object]:
        """The entry of a rattler authentication file."""
        if self.username:
            return {"BasicHTTP": {"username": self.username, "password": self.password}}
        return {"CondaToken": self.password}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Texts that must not appear in anything we say or keep."""

    values: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, values: Iterable[str]) -> Secrets:
        """Secrets, with the form that each takes inside an address; the longest first."""
        found = {form for value in values for form in (value, quote(value, safe="")) if len(form) >= _SHORTEST}
        return cls(tuple(sorted(found, key=lambda value: (-len(value), value))))

    def mask(self, text: str) -> str:
        """The text without the secrets."""
        for value in self.values:
            text = text.replace(value, _MASK)
        return text


def split(url: str) -> tuple[str, Credential | None]:
    """Take user name and password, or conda's ``/t/TOKEN/``, out of an address."""
    if "://" not in url:
        return url, None
    parts = urlsplit(url)
    host = parts.hostname or ""
    if "@" in parts.netloc:
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        clean = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        return split(clean)[0], Credential(host, password, username)
    if token := _TOKEN.match(parts.path):
        clean = urlunsplit(parts._replace(path=parts.path[token.end() :]))
        return clean, Credential(host, unquote(token[1]))
    return url, None


def bare(text: str) -> str:
    """Any text without the credentials that stand in addresses in it. A ${VARIABLE} stays: it is only a name."""

    def shown(found: re.Match[str]) -> str:
        return found[0] if _is_harmless(found[1]) else ""

    return _TOKEN_ANYWHERE.sub(_MASK, _USER_INFO.sub(shown, text))


def passwords_in(text: str) -> tuple[str, ...]:
    """The secrets that stand in addresses in a text."""
    found = [match[1] for match in _USER_INFO.finditer(text) if not _is_harmless(match[1])]
    tokens = [match[1] for match in _TOKEN_ANYWHERE.finditer(text)]
    return tuple(unquote(info.partition(":")[2] or info) for info in found) + tuple(map(unquote, tokens))


def _is_harmless(user_info: str) -> bool:
    """Whether what stands before a host tells nobody anything: a variable's name, or the account of git@host."""
    return "$" in user_info or user_info == "git"
