"""Package indexes that the surroundings name, in the words of uv, which reads none of pip's variables. Pure.

uv's own variables win over pip's. A user name and a password in an address become variables of their own: uv keeps
those out of everything that it writes, and the address itself can be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlp.environment.credentials import bare, split

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Indexes", "index_options", "indexes_from"]

_MAIN: Final = "UV_DEFAULT_INDEX"
_FURTHER: Final = "UV_INDEX"
_DIRECTORIES: Final = "UV_FIND_LINKS"
# Named in the manner of the others: uv itself has only an option.
_NO_INDEX: Final = "UV_NO_INDEX"

_ALIASES: Final = {"UV_INDEX_URL": _MAIN, "UV_EXTRA_INDEX_URL": _FURTHER}
_FROM_PIP: Final = {
    "PIP_INDEX_URL": _MAIN,
    "PIP_EXTRA_INDEX_URL": _FURTHER,
    "PIP_FIND_LINKS": _DIRECTORIES,
    "PIP_NO_INDEX": _NO_INDEX,
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_CERT": "SSL_CERT_FILE",
}
# These decide which packages are found and chosen, so they are part of what is asked; the others only how they are
# reached.
_DECISIVE: Final = (
    *(_MAIN, _FURTHER, _DIRECTORIES, _NO_INDEX),
    *("UV_PRERELEASE", "UV_RESOLUTION", "UV_FORK_STRATEGY", "UV_TORCH_BACKEND", "UV_EXCLUDE_NEWER"),
)


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where pip's packages come from.

    Attributes:
        shown: What decides which packages are found, without credentials.
        variables: All that uv has to be given, with credentials.
        secrets: The credentials alone.
    """

    shown: Mapping[str, str]
    variables: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def indexes_from(surroundings: Mapping[str, str]) -> Indexes:
    """Read uv's variables and pip's."""
    given: dict[str, str] = {}
    for ours, theirs in (*_FROM_PIP.items(), *_ALIASES.items()):
        if surroundings.get(ours):
            # uv separates places by commas, and further indexes by spaces, as pip does both.
            separator = "," if theirs == _DIRECTORIES and ours in _FROM_PIP else " "
            given[theirs] = separator.join(surroundings[ours].split())
    if surroundings.get("PIP_PRE", "").lower() in {"1", "true", "yes", "on"}:
        given["UV_PRERELEASE"] = "allow"
    for name in (*_DECISIVE, "UV_INSECURE_HOST", "SSL_CERT_FILE"):
        if surroundings.get(name):
            given[name] = surroundings[name]
    shown: dict[str, str] = {name: bare(given[name]) for name in _DECISIVE if name in given}
    variables: dict[str, str] = {}
    secrets: list[str] = []
    for name, prefix in ((_MAIN, "mlp-main"), (_FURTHER, "mlp-further")):
        if name in given:
            addresses = enumerate(given.pop(name).split())
            indexes = [_index(address, f"{prefix}-{number}", variables, secrets) for number, address in addresses]
            variables[name] = " ".join(indexes)
    secrets += [value for name, value in surroundings.items() if _is_secret(name) and value]
    return Indexes(shown, variables | given, tuple(secrets))


def index_options(variables: Mapping[str, str]) -> list[str]:
    """What uv has to be told by options, since it has no variable for it."""
    return [] if variables.get(_NO_INDEX, "").lower() in {"", "0", "false", "no", "off"} else ["--no-index"]


def _is_secret(name: str) -> bool:
    return name.startswith("UV_INDEX_") and name.endswith("_PASSWORD")


def _index(address: str, fallback: str, variables: dict[str, str], secrets: list[str]) -> str:
    """One index in the form NAME=ADDRESS, its credentials moved into variables."""
    name, separator, url = address.partition("=")
    if not separator or "/" in name or ":" in name:
        name, url = fallback, address
    clean, credential = split(url)
    if credential is None or clean == url:
        return address
    variable = "".join(letter if letter.isalnum() else "_" for letter in name).upper()
    variables[f"UV_INDEX_{variable}_USERNAME"] = credential.username
    variables[f"UV_INDEX_{variable}_PASSWORD"] = credential.password
    secrets.append(credential.secret)
    return f"{name}={clean}"
