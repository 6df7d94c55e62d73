"""ProjectRuns read from a YAML file, as ``kubectl apply -f`` would read them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlp.errors import UsageError
from mlp.resources import ProjectRun

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["read_manifest", "read_objects", "read_text"]


def read_manifest(path: str | PathLike[str]) -> ProjectRun:
    """Read the one ProjectRun in a file; ``-`` is standard input.

    Raises:
        UsageError: The file cannot be read, or does not hold exactly one valid ProjectRun.
    """
    name = _name(path)
    objects = read_objects(path)
    if not objects:
        raise UsageError(f"{name} is empty; a ProjectRun begins with 'apiVersion: mlp.dev/v1alpha1'.")
    if len(objects) > 1:
        raise UsageError(f"{name} holds {len(objects)} documents; one ProjectRun is wanted. Split the file.")
    try:
        return ProjectRun.parse(objects[0])
    except UsageError as error:
        raise UsageError(f"{name} is no valid ProjectRun:\n{error}") from None


def read_objects(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """Read the objects in a file, one a YAML document, as they stand; ``-`` is standard input.

    Raises:
        UsageError: The file cannot be read, is not YAML, or holds something other than objects.
    """
    name, text = read_text(path)
    documents = [document for document in _documents(text, name) if document is not None]
    if not all(isinstance(document, dict) for document in documents):
        raise UsageError(f"{name} holds no object; a ProjectRun begins with 'apiVersion: mlp.dev/v1alpha1'.")
    return documents


def _name(path: str | PathLike[str]) -> str:
    return "standard input" if path == "-" else str(path)


def read_text(path: str | PathLike[str]) -> tuple[str, str]:
    """Read a file; ``-`` is standard input.

    Returns:
        What to call it in messages, and its text.

    Raises:
        UsageError: It cannot be read.
    """
    name = _name(path)
    try:
        return name, sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8: {error.reason} at byte {error.start}.") from error
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from error


def _documents(text: str, name: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise UsageError(f"{place}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is not YAML: {error}") from error
