"""What is asked for when a project is to run on this machine, whether by arguments or by a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run that is asked for.

    Attributes:
        uri: A Git URL, ``user@host:path`` or a directory; ``#subdirectory`` may follow.
        subdirectory: The project's directory inside, for those who have it apart.
        version: A branch, tag or commit; None for what lies there now.
        entry_point: A name from the MLproject file, or a script's path.
        parameters: Values by name.
        env_manager: ``local`` for the environment that mlp itself runs in; None for what the project declares.
        validate: Whether values have to fit their declared types.
        submodules: Whether the repository's submodules are fetched too.
    """

    uri: str
    subdirectory: str = ""
    version: str | None = None
    entry_point: str = "main"
    parameters: Mapping[str, str] = field(default_factory=dict)
    env_manager: str | None = None
    validate: bool = True
    submodules: bool = True
