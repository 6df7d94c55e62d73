"""What conda calls a match spec, brought into one form, so that ``numpy=1.2`` and ``numpy 1.2.*`` are one request.

The forms that nearly everybody writes are dealt with here, to the letter as rattler would write them; rattler itself,
whose import takes most of the time that a cache hit may take, reads the others.
"""

from __future__ import annotations

import re
from typing import Final

from mlp.environment.extras import missing

__all__ = ["SpecInvalid", "canonical", "channel_of", "insisting_on"]

_PLATFORM: Final = re.compile(r"/(?:noarch|(?:linux|osx|win|emscripten|wasi)-\w+)$")
_CHANNEL: Final = re.compile(r'\[channel="([^"]+)"\]$')
_NUMBER: Final = r"(?:0|[1-9]\d*)"
_VERSION: Final = rf"{_NUMBER}(?:\.{_NUMBER})*"
_NAME: Final = r"[a-z0-9_][a-z0-9_.-]*"
_PLAIN: Final = re.compile(rf"({_NAME})$")
_FUZZY: Final = re.compile(rf"({_NAME})\s*=\s*({_VERSION})(?:\.\*)?$")
_RANGE: Final = re.compile(rf"({_NAME})\s*((?:==|>=|<=|>|<|!=)\s*{_VERSION}(?:\s*,\s*(?:>=|<=|>|<|!=)\s*{_VERSION})*)$")


class SpecInvalid(Exception):  # noqa: N818 -- the caller knows the place, and words the error
    """It is no match spec; the text says why."""


def canonical(spec: str) -> str:
    """One form for all ways to write a spec.

    Raises:
        SpecInvalid: It is none.
        PreparationError: It is an unusual one, and the package that can read it is not installed.
    """
    text = spec.strip()
    channel, separator, rest = text.partition("::")
    if separator:
        return f"{channel}::{canonical(rest)}"
    if plain := _PLAIN.match(text):
        return plain[1]
    if fuzzy := _FUZZY.match(text):
        return f"{fuzzy[1]} {fuzzy[2]}.*"
    if found := _RANGE.match(text):
        return f"{found[1]} {''.join(found[2].split())}"
    return _by_rattler(text)


def channel_of(spec: str) -> str | None:
    """The channel that a spec insists on: conda-forge in ``conda-forge::numpy``, with or without a platform."""
    before, separator, _ = spec.partition("::")
    return _PLATFORM.sub("", before) if separator else None


def insisting_on(address: str, spec: str) -> str:
    """A spec that insists on a channel, with the channel's address in the place of its name."""
    before, _, rest = spec.partition("::")
    platform = _PLATFORM.search(before)
    return f"{address}{platform[0] if platform else ''}::{rest}"


def _by_rattler(text: str) -> str:
    try:
        from rattler import MatchSpec  # noqa: PLC0415 -- see above
        from rattler.exceptions import InvalidMatchSpecError  # noqa: PLC0415
    except ImportError:
        raise missing("py-rattler", "a conda environment") from None
    try:
        found = str(MatchSpec(text))
    except InvalidMatchSpecError as error:
        raise SpecInvalid(str(error)) from None
    # numpy[channel=…] comes back in the usual form for some channels only.
    bracket = _CHANNEL.search(found)
    return f"{bracket[1].rstrip('/')}::{found[: bracket.start()]}" if bracket else found
