"""What of this machine a container sees, in the words of ``docker run``. Pure."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Mount", "outermost", "volume", "volume_target"]

# A file or directory; a bare word is a volume that the engine keeps.
_ON_THIS_MACHINE: Final = re.compile(r"[.~$]|.*/")
_REFERENCE: Final = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of this machine that a container sees.

    Attributes:
        source: Where it is here, absolute.
        target: Where it is there.
        read_only: Whether it cannot be changed from there.
    """

    source: Path
    target: str
    read_only: bool

    def __str__(self) -> str:
        """The value of ``--mount``, which unlike ``--volume`` takes any path and makes no missing one."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}", *(["readonly"] * self.read_only)]
        return ",".join(map(_field, fields))


def outermost(paths: Iterable[Path]) -> list[Path]:
    """Those of some paths that lie in none of the others."""
    found: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return found


def volume(text: str, *, base: Path, environ: Mapping[str, str]) -> str:
    """A volume as a project writes it, ``host:container[:options]``, with the host's path absolute.

    Args:
        text: What the project writes. ``~`` and ``$NAME`` in the host's path are the caller's, as in MLflow, where
            the host's shell sees them.
        base: What a relative path is meant from.
        environ: The caller's variables.

    Raises:
        UsageError: A variable is not set.
    """
    host, colon, rest = text.partition(":")
    if not colon or not _ON_THIS_MACHINE.match(host):
        return text

    def value(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name not in environ:
            raise UsageError(f"The volume {text} of docker_env needs the variable {name}, which is not set.")
        return environ[name]

    host = _REFERENCE.sub(value, f"$HOME{host[1:]}" if host == "~" or host.startswith("~/") else host)
    return f"{os.path.abspath(base / host)}:{rest}"  # noqa: PTH100 -- Path.resolve() would follow symbolic links


def volume_target(text: str) -> str:
    """Where a volume is in the container."""
    _, colon, rest = text.partition(":")
    return os.path.normpath(rest.partition(":")[0] if colon else text)


def _field(text: str) -> str:
    # A record of comma-separated values, quoted as encoding/csv of Go reads it.
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
