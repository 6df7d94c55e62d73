"""Credentials of requirements that come from Git, kept out of the argument lists in which uv would hand them to Git.

``package @ git+https://USER:PASSWORD@HOST/…`` becomes the same without them, and Git gets a header for that host as
configuration in its environment.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["GitAccess"]

_ADDRESS: Final = re.compile(r"(git\+(https?)://)([^/@\s]+)@([^/\s]+)(/[^@#\s]*)?")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")


class GitAccess:
    """What Git has to be told for some requirements.

    Args:
        lines: The requirements.
        surroundings: Variables that may stand in them, as ${NAME}.

    Attributes:
        lines: The requirements without credentials.
        secrets: The credentials.
    """

    def __init__(self, lines: Iterable[str], surroundings: Mapping[str, str]) -> None:
        self.secrets: list[str] = []
        self._headers: dict[tuple[str, str], str] = {}
        self._surroundings = surroundings
        self.lines = tuple(_ADDRESS.sub(self._take, line) for line in lines)

    def _take(self, found: re.Match[str]) -> str:
        before, scheme, user_info, host, path = found.groups()
        # uv would put the values in, and the address into an argument list.
        filled = _VARIABLE.sub(lambda name: self._surroundings.get(name[1], name[0]), user_info)
        username, _, password = filled.partition(":")
        basic = base64.b64encode(f"{unquote(username)}:{unquote(password)}".encode()).decode()
        self.secrets += [unquote(password) or unquote(username), basic]
        self._headers[f"{scheme}://{host}", path or "/"] = f"Authorization: Basic {basic}"
        return f"{before}{host}{path or ''}"

    def variables(self) -> dict[str, str]:
        """The variables by which Git takes configuration, after those that there are already."""
        if not self._headers:
            return {}
        hosts = [host for host, _ in self._headers]
        count = int(self._surroundings.get("GIT_CONFIG_COUNT") or 0)
        found: dict[str, str] = {}
        for number, ((host, path), header) in enumerate(self._headers.items(), start=count):
            # A whole host, so that submodules come too; unless its repositories want different credentials.
            where = f"{host}/" if hosts.count(host) == 1 else f"{host}{path}"
            found |= {f"GIT_CONFIG_KEY_{number}": f"http.{where}.extraHeader", f"GIT_CONFIG_VALUE_{number}": header}
        return {**found, "GIT_CONFIG_COUNT": str(count + len(self._headers))}
