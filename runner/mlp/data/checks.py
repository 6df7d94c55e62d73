"""Checksums: whether the bytes that arrived are those that are stored.

Digests are made while the bytes go by, a part at a time, because large things come in several streams at once; those of
the parts are then put together. What cannot be put together (SHA-256 of the whole from pieces) is computed from the
file afterwards. Knows nothing of where bytes come from.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

__all__ = ["BLOCK", "Check", "Digest", "Digests", "available", "decoded"]

BLOCK: Final = 1 << 18
_HASHES: Final = frozenset({"md5", "sha1", "sha256", "sha512"})
_CRCS: Final = {"crc32": 4, "crc32c": 4, "crc64nvme": 8}


class Digest(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""


@cache
def _awscrt() -> ModuleType | None:
    try:
        from awscrt import checksums  # noqa: PLC0415 -- it may be missing, and takes its time
    except ImportError:
        return None
    module: ModuleType = checksums
    return module


def available(algorithm: str) -> bool:
    """Whether digests of this kind can be made here."""
    return algorithm in _HASHES or algorithm == "crc32" or (algorithm in _CRCS and _awscrt() is not None)


def _crc(algorithm: str) -> Callable[[bytes | memoryview, int], int]:
    crt = _awscrt()
    # zlib's and awscrt's CRC-32 are the same; the latter is faster, and the only one for the others.
    function: Callable[[bytes | memoryview, int], int] = zlib.crc32 if crt is None else getattr(crt, algorithm)
    return function


class _Crc:
    def __init__(self, algorithm: str) -> None:
        self._function = _crc(algorithm)
        self._width = _CRCS[algorithm]
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


def _begin(algorithm: str) -> Digest:
    if algorithm in _CRCS:
        return _Crc(algorithm)
    return hashlib.new(algorithm, usedforsecurity=False)


def decoded(text: str) -> bytes:
    """A digest from its base64; b"" for what is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


@dataclass(frozen=True, slots=True)
class Check:
    """What the bytes of one file have to be.

    Attributes:
        algorithm: One that is `available`.
        expected: The digest, of all bytes; or, where there are parts, of the parts' digests one after the other.
        ends: Where each part ends.
        source: Who said so, for messages.
    """

    algorithm: str
    expected: bytes
    ends: tuple[int, ...] = ()
    source: str = ""

    @property
    def in_pieces(self) -> bool:
        """Whether digests of several pieces tell anything; if not, the file has to be read once it is whole."""
        return bool(self.ends) or (self.algorithm in _CRCS and _awscrt() is not None)

    def accepts(self, digests: Sequence[tuple[bytes, int]], file: Path) -> bool:
        """Whether a file is as it should be.

        Args:
            digests: Digest and length of each part (or of each piece, where there are no parts), in order.
            file: The file, for what cannot be told from those.
        """
        if self.ends:
            whole = _begin(self.algorithm)
            whole.update(b"".join(digest for digest, _ in digests))
            return whole.digest() == self.expected
        if len(digests) == 1:
            return digests[0][0] == self.expected
        if self.algorithm in _CRCS and (crt := _awscrt()) is not None:
            combine: Callable[[int, int, int], int] = getattr(crt, f"combine_{self.algorithm}")
            value = 0
            for digest, length in digests:
                value = combine(value, int.from_bytes(digest, "big"), length)
            return value.to_bytes(_CRCS[self.algorithm], "big") == self.expected
        return _digest_of(file, self.algorithm) == self.expected


def _digest_of(file: Path, algorithm: str) -> bytes:
    digest = _begin(algorithm)
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.digest()


@dataclass(slots=True)
class Digests:
    """Digests of a stream's parts, made as it goes by.

    Attributes:
        check: What they are for; None makes none.
        begin: Where the stream begins.
        ends: Where each of its parts ends.
        done: Digest and length of each part that is complete.
    """

    check: Check | None
    begin: int
    ends: tuple[int, ...]
    done: list[tuple[bytes, int]] = field(default_factory=list)
    _digest: Digest | None = None
    _at: int = 0

    def __post_init__(self) -> None:
        self._at = self.begin

    def update(self, block: bytes) -> None:
        """Take in what came next."""
        if self.check is None:
            return
        data = memoryview(block)
        while data:
            if self._digest is None:
                self._digest = _begin(self.check.algorithm)
            end = self.ends[len(self.done)] if len(self.done) < len(self.ends) else self._at + len(data)
            now = data[: end - self._at]
            self._digest.update(now)
            self._at += len(now)
            data = data[len(now) :]
            if len(self.done) < len(self.ends) and self._at == end:
                self._finish(self._digest)

    def close(self) -> list[tuple[bytes, int]]:
        """Digests and lengths of all parts, once the stream has ended."""
        if self.check is not None and (self._digest is not None or not self.done):
            self._finish(self._digest or _begin(self.check.algorithm))
        return self.done

    def _finish(self, digest: Digest) -> None:
        self.done.append((digest.digest(), self._at - self.begin - sum(length for _, length in self.done)))
        self._digest = None
