"""What a data URI means, as far as it can be said without asking anybody.

A value of a ``path`` parameter is either a path of this machine or names something that has to be brought from
elsewhere; where it will then lie follows from its text alone, so that a command can be known before anything is
downloaded. Pure: no disk, no network. What schemes can be downloaded is for mlp.data.registry to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from mlp.errors import DataInvalid

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LONGEST_NAME", "Address", "destination", "directory_name", "is_remote", "parse"]

LONGEST_NAME: Final = 255
"""Bytes of a file's name on every common file system."""

# More than one letter before the colon: "C:/data" is a path of Windows.
_URI: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<slashes>//?)(?P<rest>.*)", re.DOTALL)
# These are written with one slash too; in others ("http:/x") that is a mistake that we tell of.
_REMOTE: Final = frozenset({"s3", "s3a", "s3n", "dbfs", "http", "https", "runs", "models", "mlflow-artifacts", "hdfs"})
# Schemes whose URIs are URLs: their paths are percent-encoded, a query may follow. Elsewhere "%20", "?" and "#" are
# characters of a key.
_URLS: Final = frozenset({"http", "https", "file"})
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Address:
    """A URI, taken apart.

    Attributes:
        uri: As it was written.
        scheme: In lower case.
        host: What stands between "//" and the next "/": a host, a bucket, a container. "" without "//".
        path: What follows, without its first "/"; decoded where the URI is a URL.
        meant: The URI that a user wrote, where this one was found by looking that up.
    """

    uri: str
    scheme: str
    host: str
    path: str
    meant: str = ""

    @property
    def shown(self) -> str:
        """The URI for people: without credentials and without a query, which often holds a signature."""
        return f"{self.meant} ({self._own})" if self.meant else self._own

    @property
    def _own(self) -> str:
        if self.scheme in _URLS:
            parts = urlsplit(self.uri)
            return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
        user, at, _ = self.host.rpartition("@")
        if at and ":" in user and self.scheme != "dbfs":
            return self.uri.replace(f"{user}@", "***@", 1)
        return self.uri

    @property
    def name(self) -> str:
        """The name that the file or directory gets on this machine.

        Raises:
            DataInvalid: There is nothing that a file could be called by.
        """
        name = self.path.rstrip("/").rpartition("/")[2]
        if not name and self.scheme not in _URLS:
            name = self.host.rpartition("@")[2]
        if name in {"", ".", ".."}:
            raise DataInvalid(f"{self.shown} ends with no name that a file could have. Name a file or a directory.")
        if "/" in name or "\0" in name:
            raise DataInvalid(f"The last part of {self.shown} cannot be the name of a file.")
        if len(name.encode(errors="surrogateescape")) > LONGEST_NAME:
            raise DataInvalid(
                f"The last part of {self.shown} is longer than {LONGEST_NAME} bytes, as no file's may be."
            )
        return name


def is_remote(value: str) -> bool:
    """Whether a value of a path parameter names something that has to be downloaded. ``file:`` is this machine."""
    match = _URI.match(value)
    if match is None:
        return False
    scheme = match["scheme"].lower()
    return scheme != "file" and (len(match["slashes"]) > 1 or scheme in _REMOTE)


def parse(uri: str) -> Address:
    """Take a URI apart.

    Raises:
        DataInvalid: It is none, or a malformed one.
    """
    match = _URI.match(uri)
    if match is None:
        raise DataInvalid(f"{uri!r} is not a URI. Write for example s3://bucket/key or https://host/file.")
    scheme = match["scheme"].lower()
    if _UNPRINTABLE.search(uri):
        # Not shown: what cannot be taken apart may hold a password anywhere.
        raise DataInvalid(f"The {scheme} URI has a line break or another control character in it.")
    if scheme in _URLS:
        return _url(uri, scheme, match["slashes"])
    if match["slashes"] == "//":
        host, _, path = match["rest"].partition("/")
    else:
        host, path = "", match["rest"]
    return Address(uri, scheme, host, path.lstrip("/") if scheme in {"dbfs", "runs", "models"} else path)


def _url(uri: str, scheme: str, slashes: str) -> Address:
    if slashes != "//" and scheme != "file":
        raise DataInvalid(f"A URL of {scheme} begins with '{scheme}://', not with '{scheme}:/'.")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise DataInvalid(f"The {scheme} URL is malformed: its host or port cannot be read.") from None
    if scheme != "file" and not parts.hostname:
        raise DataInvalid(f"The {scheme} URL names no host.")
    return Address(uri, scheme, parts.netloc, unquote(parts.path, errors="surrogateescape").removeprefix("/"))


def destination(uri: str, into: Path) -> Path:
    """Where `mlp.data.download` will put what a URI names.

    Raises:
        DataInvalid: The URI is malformed, or has no name for a file at its end.
    """
    return into / parse(uri).name


def directory_name(parameter: str) -> str:
    """A name for the directory of a parameter's data: the parameter's own, unless that could lead elsewhere."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", parameter):
        return parameter
    return f"parameter-{sha256(parameter.encode(errors='surrogatepass')).hexdigest()[:16]}"
