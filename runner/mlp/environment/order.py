"""What a builder was told, as values. The other end of `mlp.environment.specification.Specification.order`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlp.environment.credentials import Credential, Secrets
from mlp.environment.layout import Layout
from mlp.environment.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Order"]

# The builder's own, and what would lead uv elsewhere or has been translated.
_NOT_HANDED_ON: Final = {
    *("PYTHONPATH", "PYTHONSTARTUP", "RATTLER_AUTH_FILE"),
    *("UV_WORKING_DIR", "UV_CONFIG_FILE", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_SYSTEM_PYTHON"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """One environment to build; the fields that `Specification` has too mean the same here.

    Attributes:
        layout: Where environments and caches lie.
        name: The environment's hash.
        lock: The descriptor of the environment's lock: everything that is started has to inherit it.
        request: What the hash was made of.
        local: Lines of `build` and `pip` that name something on this machine.
        places: Where each line of `build` and `pip` was written.
        refresh: Whether what the caches know of indexes may be stale.
    """

    layout: Layout
    name: str
    lock: int
    request: Mapping[str, Any]
    kind: str
    file: str
    directory: Path
    settings: Settings
    channels: tuple[str, ...]
    conda: tuple[str, ...]
    python: str | None
    build: tuple[str, ...]
    pip: tuple[str, ...]
    constraints: tuple[str, ...]
    local: tuple[str, ...]
    places: Mapping[str, str]
    variables: Mapping[str, str]
    credentials: tuple[Credential, ...]
    index_variables: Mapping[str, str]
    secrets: Secrets
    refresh: bool

    @classmethod
    def of(cls, given: Mapping[str, Any], lock: int) -> Order:
        """Read what was sent."""
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given["settings"].items()
        }
        return cls(
            layout=Layout(Path(given["root"])),
            name=given["name"],
            lock=lock,
            request=given["request"],
            kind=given["kind"],
            file=given["file"],
            directory=Path(given["directory"]),
            settings=Settings(**settings),
            channels=tuple(given["channels"]),
            conda=tuple(given["conda"]),
            python=given["python"],
            build=tuple(given["build"]),
            pip=tuple(given["pip"]),
            constraints=tuple(given["constraints"]),
            local=tuple(given["local"]),
            places=given["places"],
            variables=given["variables"],
            credentials=tuple(Credential(**credential) for credential in given["credentials"]),
            index_variables=given["index_variables"],
            secrets=Secrets(tuple(given["secrets"])),
            refresh=given["refresh"],
        )

    @property
    def prefix(self) -> Path:
        """The environment's directory."""
        return self.layout.prefix(self.name)

    @property
    def metadata(self) -> Path:
        """What mlp keeps about the environment."""
        return self.layout.metadata(self.name)

    @property
    def interpreter(self) -> Path:
        """The environment's Python, if it has one."""
        return self.prefix / "bin" / "python"

    def place(self, line: str) -> str:
        """Where one of pip's lines was written."""
        return self.places.get(line, self.file)

    def cache(self, name: str) -> Path:
        """One of the package caches; made if it is not there."""
        directory = self.layout.caches / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def surroundings(self, **more: str) -> dict[str, str]:
        """The variables of a program that the builder starts."""
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
        return {**kept, **more}
