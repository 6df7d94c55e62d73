"""What ``backend_config`` says: a mapping, JSON text, or the path of a JSON file. MLflow takes the same three."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp.errors import UsageError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["read_backend_config"]


def read_backend_config(given: Mapping[str, Any] | str | PathLike[str] | None) -> dict[str, Any]:
    """The configuration, as a mapping of its own: the caller's stays as it is.

    Args:
        given: A mapping; a path that ends in ``.json``; any other text is JSON itself.

    Raises:
        UsageError: It cannot be read, or is no mapping.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    text = str(given)
    if text.endswith(".json"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The backend configuration {given} cannot be read: {error}") from error
    try:
        result = json.loads(text)
    except ValueError as error:
        raise UsageError(f"Invalid backend config JSON. Parse error: {error}") from error
    if not isinstance(result, dict):
        raise UsageError(f"The backend configuration must be a JSON object, and is {text[:60]!r}.")
    return result
