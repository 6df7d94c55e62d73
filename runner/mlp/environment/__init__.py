"""Environments: what a project's conda.yaml or python_env.yaml asks for, built once, kept, and activated for a command.

`read` turns a file into a `Specification`, whose hash names the environment; `EnvironmentCache.ensure` hands back the
environment of that hash and builds it first where there is none. This room knows files, package channels and package
indexes. It knows no entry points and no runs, and nothing here assumes a laptop: everything that can be set is an
environment variable (see `mlp.environment.settings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.lazily import lazily

if TYPE_CHECKING:
    from mlp.environment.cache import BuiltEnvironment, EnvironmentCache
    from mlp.environment.managers import MANAGERS, check_manager
    from mlp.environment.reading import read
    from mlp.environment.settings import Settings
    from mlp.environment.specification import Specification

__all__ = [
    "MANAGERS",
    "BuiltEnvironment",
    "EnvironmentCache",
    "Settings",
    "Specification",
    "check_manager",
    "read",
]

__getattr__ = lazily(
    __name__,
    {
        "cache": ("BuiltEnvironment", "EnvironmentCache"),
        "managers": ("MANAGERS", "check_manager"),
        "reading": ("read",),
        "settings": ("Settings",),
        "specification": ("Specification",),
    },
)
