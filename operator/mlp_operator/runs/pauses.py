"""How long to wait before a workspace, or the API server, is asked once more: longer each time. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["FIRST", "LAST", "pause"]

FIRST: float = 2.0
"""Seconds before the first further attempt."""
LAST: Final = 120.0
"""The most that they become."""


def pause(failures: int, *, least: float = 0.0) -> float:
    """Seconds to wait.

    Args:
        failures: How many attempts have failed in a row before the last one.
        least: What whoever was asked wants.
    """
    return min(LAST, max(least, FIRST * 2.0 ** min(failures, 10)))
