"""What lies between us and a server: proxies, and certificate authorities of one's own.

Both belong to the place where a program runs, not to a user: whoever deploys the operator in a closed network sets them
in its pods. So they count even where nothing else of the environment does. Names of variables in, variables out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["authorities", "network_variables", "proxy_passwords"]

_PROXIES: Final = ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_AUTHORITIES: Final = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_PROXY_SSL_CAINFO")


def network_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that tell Git how to get through the network."""
    found = {name: environment[name] for name in (*_PROXIES, *_EXCEPTIONS, *_AUTHORITIES) if environment.get(name)}
    # The names that OpenSSL and others know mean nothing to a Git that was built with another library.
    for git, other in (("GIT_SSL_CAINFO", "SSL_CERT_FILE"), ("GIT_SSL_CAPATH", "SSL_CERT_DIR")):
        if other in found:
            found.setdefault(git, found[other])
    return found


def proxy_passwords(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The passwords in the addresses of proxies, as they are written and as they are meant."""
    found: set[str] = set()
    for name in _PROXIES:
        value = environment.get(name, "")
        try:
            password = urlsplit(value if "://" in value else f"http://{value}").password
        except ValueError:
            continue
        if password:
            found |= {password, unquote(password)}
    return tuple(sorted(found, key=len, reverse=True))


def authorities(environment: Mapping[str, str]) -> str | bool:
    """The file or directory of certificate authorities for HTTPS connections of our own; True for the usual ones."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO", "SSL_CERT_DIR")
    return next((environment[name] for name in names if environment.get(name)), True)
