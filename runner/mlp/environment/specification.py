"""What is asked of an environment, and the hash that names it.

The hash is over the request, not over what a solver makes of it: a look-up needs no network, and an environment whose
file pins nothing stays as it was first built until it is refreshed. Names, comments, the order of keys and credentials
make no difference; the platform, the settings and the content of every file that was named do.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mlp.environment.credentials import Credential, Secrets, bare
from mlp.environment.settings import subdir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlp.environment.managers import Kind
    from mlp.environment.settings import Settings

__all__ = ["LAYOUT", "LocalContent", "Specification"]

LAYOUT: Final = 1
"""Counts up when the same request would be built in another way, or laid out differently: everything is built anew."""

_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class LocalContent:
    """Something on this machine that is installed from its own files.

    Attributes:
        line: The requirement that names it.
        digest: The hash of its content.
    """

    line: str
    digest: str


@dataclass(frozen=True)
class Specification:
    """An environment, as far as a file and the settings say what it is.

    Attributes:
        kind: ``conda`` for conda packages and pip's, ``python`` for an interpreter and pip's packages.
        file: The file that was read, for messages.
        directory: Where pip's relative paths begin.
        settings: What was decided outside of the project.
        channels: Addresses of channels, without credentials; for conda.
        conda: Match specs in one form each, in order; for conda.
        python: The interpreter's version; for python.
        build: pip's lines that are installed before all others.
        pip: pip's lines.
        constraints: Lines of constraints files.
        local: What some of pip's lines name on this machine.
        places: Where each of pip's lines was written.
        variables: Variables that are set when the environment is activated.
        indexes: Package indexes from the surroundings, as uv's variables, without credentials.
        credentials: Of channels.
        index_variables: uv's variables, credentials included.
        secrets: What must not be shown.
        warnings: What is odd about the file and harmless.
    """

    kind: Kind
    file: str
    directory: Path
    settings: Settings
    channels: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    python: str | None = None
    # A line may hold an address with a password in it.
    build: tuple[str, ...] = field(default=(), repr=False)
    pip: tuple[str, ...] = field(default=(), repr=False)
    constraints: tuple[str, ...] = field(default=(), repr=False)
    local: tuple[LocalContent, ...] = field(default=(), repr=False)
    places: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
    credentials: tuple[Credential, ...] = field(default=(), repr=False)
    index_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    warnings: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        """The name of the environment: 20 hexadecimal digits."""
        text = json.dumps(self.request(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.kind} environment {self.hash}"

    def request(self) -> dict[str, Any]:
        """Everything that makes this environment another one than the next. No secret is in it."""
        request: dict[str, Any] = {
            "layout": LAYOUT,
            "kind": self.kind,
            "platform": subdir(),
            "python": self.python,
            "build": [bare(line) for line in self.build],
            "pip": [bare(line) for line in self.pip],
            "constraints": [bare(line) for line in self.constraints],
            "local": sorted((bare(content.line), content.digest) for content in self.local),
            "indexes": dict(self.indexes),
            "exclude_newer": self.settings.exclude_newer,
            "index_strategy": self.settings.index_strategy,
            "salt": self.settings.salt,
        }
        if self.kind == "conda":
            request |= {
                "channels": list(self.channels),
                "conda": sorted(set(self.conda)),
                "variables": dict(self.variables),
                "channel_priority": self.settings.channel_priority,
                "link_scripts": self.settings.link_scripts,
                "virtual": list(self.settings.virtual),
            }
        else:
            request["python_from"] = self.settings.python_from
        return request

    def order(self) -> dict[str, Any]:
        """All that a builder has to know, secrets included: for its standard input, never for a file."""
        return {
            "request": self.request(),
            "kind": self.kind,
            "file": self.file,
            "directory": str(self.directory),
            "settings": asdict(self.settings),
            "channels": list(self.channels),
            "conda": list(dict.fromkeys(self.conda)),
            "python": self.python,
            "build": list(self.build),
            "pip": list(self.pip),
            "constraints": list(self.constraints),
            "local": [content.line for content in self.local],
            "places": dict(self.places),
            "variables": dict(self.variables),
            "credentials": [asdict(credential) for credential in self.credentials],
            "index_variables": dict(self.index_variables),
            "secrets": list(self.secrets.values),
        }
