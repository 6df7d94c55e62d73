"""What a web server's answer to a request for a file says: where its bytes begin and end, and what they have to be.

Pure but for the bytes themselves, which are read as they are asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlp.data.checks import BLOCK, Check, available, decoded
from mlp.data.origin import Reply
from mlp.errors import DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

__all__ = ["reply_of"]

_PARTIAL: Final = 206
# In the order in which they are preferred: the names that HTTP has for them, and ours.
_ALGORITHMS: Final = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5", "crc32c": "crc32c"}
_MEMBER: Final = re.compile(r"\s*([A-Za-z0-9-]+)=:?([A-Za-z0-9+/=]+?):?\s*")


def reply_of(response: requests.Response, asked: int) -> Reply:
    """Understand an answer.

    Args:
        response: A 200 or 206, its body not read yet.
        asked: The first byte that was asked for.
    """
    version = _version(response)
    if response.status_code == _PARTIAL:
        span = _content_range(response)
        if span is None or span[0] != asked:
            raise DataUnavailable("The server sent another range than it was asked for.")
        return Reply(_blocks(response), asked, span[1], None, version)
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    check = None if encoded else _check(response)
    return Reply(_blocks(response), 0, _length(response), check, "" if encoded else version)


def _version(response: requests.Response) -> str:
    """What If-Range may name: a strong ETag, else the time of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else "" if etag else response.headers.get("Last-Modified", "")


def _check(response: requests.Response) -> Check | None:
    """What the whole body has to be, if the server says so."""
    for header in ("Repr-Digest", "Content-Digest", "Digest"):
        stated = (_MEMBER.fullmatch(member) for member in response.headers.get(header, "").split(","))
        members = {match[1].lower(): match[2] for match in stated if match is not None}
        for name, algorithm in _ALGORITHMS.items():
            if name in members and available(algorithm) and (expected := decoded(members[name])):
                return Check(algorithm, expected, source=f"the {header} ({name}) that the server gives")
    if expected := decoded(response.headers.get("Content-MD5", "")):
        return Check("md5", expected, source="the Content-MD5 that the server gives")
    return None


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """The body, decoded where the server has encoded it although it was asked not to."""
    yield from response.raw.stream(BLOCK, decode_content=True)


def _length(response: requests.Response) -> int | None:
    """The bytes of the body, where they are told and are those of what is sent."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _content_range(response: requests.Response) -> tuple[int, int, int | None] | None:
    """Of a 206: the first byte, the byte after the last, and the bytes in all."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, whole = rest.partition("/")
    first, _, last = span.partition("-")
    if unit != "bytes" or not (first.isdecimal() and last.isdecimal()):
        return None
    return int(first), int(last) + 1, int(whole) if whole.isdecimal() else None
