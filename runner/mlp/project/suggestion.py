"""Guesses at what a person meant to write. They only ever end up in a message; nothing is corrected silently."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest", "shortened"]

# At 0.6 `condition` resembles `conda_env`; at 0.7 `conda`, `docker` and `entrypoints` still find their key.
_MISSPELT: Final = 0.7
_SHOWN: Final = 120


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that this one is probably a misspelling of, if there is one. Case alone always counts as such."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(word.casefold(), by_folded, n=1, cutoff=_MISSPELT)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence to append to a message, with the space before it; empty where nothing resembles the word."""
    guess = nearest(word, known)
    return f" Did you mean {guess!r}?" if guess is not None else ""


def shortened(value: str) -> str:
    """A value for a message: as it is, or its beginning where it is very long."""
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}… ({len(value)} characters)"
