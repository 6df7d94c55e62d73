"""Bytes, for people."""

from __future__ import annotations

__all__ = ["size"]


def size(count: int) -> str:
    """Bytes in the largest unit of which there is one: "3.4 MiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:  # noqa: PLR2004 -- the step between the units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
