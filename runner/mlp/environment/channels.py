"""Channels: from the names that people write to addresses. Pure; nothing is asked of any server.

rattler takes ``defaults`` and ``nodefaults`` for channels of that name, so both are dealt with here, as conda does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["DEFAULTS", "NO_DEFAULTS", "address", "expand"]

NO_DEFAULTS: Final = "nodefaults"
DEFAULTS: Final = "defaults"

_ANACONDA: Final = "https://repo.anaconda.com/"
_MEANT_BY_DEFAULTS: Final = ("pkgs/main", "pkgs/r")


def expand(written: Iterable[str], *, default: Sequence[str], alias: str, directory: Path) -> tuple[str, ...]:
    """The addresses of channels, in order, each once; with whatever credentials were written in them.

    Args:
        written: What the environment file says.
        default: The configured channels, which follow unless the file says ``nodefaults`` or names ``defaults``.
        alias: What stands before a mere name.
        directory: What a relative path is relative to.
    """
    names = list(written)
    if not {NO_DEFAULTS, DEFAULTS} & set(names):
        names += default
    addresses = [each for name in names for each in _addresses(name, alias, directory)]
    return tuple(dict.fromkeys(addresses))


def address(name: str, *, alias: str, directory: Path) -> str:
    """The address of one channel that is neither ``defaults`` nor ``nodefaults``."""
    if "://" in name:
        return name.rstrip("/")
    if name.startswith(("/", "./", "../", "~")) or name in {".", ".."}:
        return (directory / Path(name).expanduser()).resolve().as_uri()
    if name.startswith("pkgs/"):
        return f"{_ANACONDA}{name}"
    return f"{alias}{name}".rstrip("/")


def _addresses(name: str, alias: str, directory: Path) -> list[str]:
    if name == NO_DEFAULTS:
        return []
    expanded = _MEANT_BY_DEFAULTS if name == DEFAULTS else (name,)
    return [address(each, alias=alias, directory=directory) for each in expanded]
