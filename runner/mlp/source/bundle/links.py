"""Where symbolic links lead, told from names alone: a tree that is not on any disk yet has no other way to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["followed"]

_LINKS_FOLLOWED: Final = 40
"""As many as Linux follows."""


def followed(path: str, links: Mapping[str, str]) -> str | None:
    """The path that one leads to, "" for the root itself; None if it leads out of the tree, or in a circle.

    Args:
        path: A path relative to the tree's root.
        links: The targets of all links in the tree, by their paths.
    """
    todo, done, count = path.split("/")[::-1], list[str](), 0
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not done:
                return None
            done.pop()
            continue
        done.append(part)
        target = links.get("/".join(done))
        if target is None:
            continue
        count += 1
        if target.startswith("/") or count > _LINKS_FOLLOWED:
            return None
        done.pop()
        todo.extend(target.split("/")[::-1])
    return "/".join(done)
