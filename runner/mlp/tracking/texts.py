"""What may stand in a tracking store: no secrets, and no more than fits.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.tracking.credentials import spellings

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["LONGEST_PARAMETER", "LONGEST_TAG", "cut", "mask", "storable"]

LONGEST_PARAMETER: Final = 6000
"""MLflow's own limits, in characters. Beyond them it cuts without a word."""
LONGEST_TAG: Final = 5000
"""What every version of MLflow takes; the newest takes 8,000."""
MASK: Final = "***"


def mask(text: str, secrets: Collection[str]) -> str:
    """Replace secrets, also where they are spelt as part of a URL."""
    found = {spelling for secret in secrets if secret for spelling in spellings(secret)}
    for spelling in sorted(found, key=len, reverse=True):
        text = text.replace(spelling, MASK)
    return text


def storable(text: object) -> str:
    """A text that can be sent: bytes of the command line that are not UTF-8 are lone surrogates in Python."""
    return str(text).encode(errors="backslashreplace").decode()


def cut(text: str, limit: int) -> str:
    """Shorten a text that is too long, so that a reader sees it."""
    if len(text) <= limit:
        return text
    marker = f"... [cut: {len(text):,} characters]"
    return text[: limit - len(marker)] + marker
