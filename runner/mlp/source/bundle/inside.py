"""Looking into a bundle without unpacking it, as the operator does to resolve a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, SourceNotFound
from mlp.source.bundle.reading import BOUNDS, check_digest, opened
from mlp.source.files import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlp.source.unpacking import Bounds

__all__ = ["snapshot"]

_LARGEST_TEXT: Final = 1 << 20


def snapshot(
    content: bytes | Path,
    subdirectory: str = "",
    *,
    sha256: str,
    wanted: Callable[[str], bool],
    name: str = "project",
    bounds: Bounds = BOUNDS,
) -> Snapshot:
    """List a bundle's files below the project's root, and read those of the root that are wanted.

    Args:
        content: The archive, or its path.
        subdirectory: The project's directory in it, without dots and superfluous slashes.
        sha256: The digest that the archive has to have.
        wanted: Whether the content of a file in the project's root is wanted, by its name.
        name: What the project's directory is called where it is the root of the bundle.
        bounds: How large the archive may be.

    Raises:
        SourceInvalid: It is another archive, or one that must not be unpacked; a wanted file is larger than a mebibyte.
        SourceNotFound: It has no such directory.
    """
    check_digest(content, sha256)
    with opened(content, bounds) as reading:
        tree = reading.tree()
    root = tree.followed(subdirectory)
    if root is None or root not in tree.directories:
        why = " (it is a file)" if root is not None else ""
        raise SourceNotFound(f"Could not find subdirectory {subdirectory} of the project's archive{why}")
    prefix = f"{root}/" if root else ""
    paths = {path.removeprefix(prefix) for path in tree.members if path.startswith(prefix)}
    # What to read, and which names of the root it is the content of: a link's is that of what it leads to.
    sources: dict[str, list[str]] = {}
    for path in paths:
        if "/" not in path and wanted(path):
            target = tree.followed(prefix + path)
            if target in tree.members:
                sources.setdefault(target, []).append(path)
    contents: dict[str, bytes] = {}
    with opened(content, bounds) as reading:
        for member, info in reading.members():
            if isinstance(member, str) or member.path not in sources:
                continue
            if member.size > _LARGEST_TEXT:
                raise SourceInvalid(f"{member.path} of the project's archive is larger than {_LARGEST_TEXT >> 20} MiB.")
            text = b"".join(reading.blocks(info))
            contents.update(dict.fromkeys(sources[member.path], text))
    return Snapshot(subdirectory.rpartition("/")[2] or name, frozenset(paths), contents)
