"""What the bytes of an object of S3 have to be, as far as its headers say.

There are checksums of the whole object (type FULL_OBJECT) and checksums of its parts' checksums (COMPOSITE), in several
algorithms. Older objects have but the ETag, which is the MD5 of the bytes, or of the parts' MD5s, unless the object is
encrypted with a key of KMS or of the customer, or lies in a directory bucket.
Pure, except that it asks for the sizes of parts where they matter.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from mlp.data.checks import Check, available, decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Parts", "check_of", "is_multipart"]

# The cheap ones first.
_FIELDS: Final = {
    "ChecksumCRC64NVME": "crc64nvme",
    "ChecksumCRC32C": "crc32c",
    "ChecksumCRC32": "crc32",
    "ChecksumSHA1": "sha1",
    "ChecksumSHA256": "sha256",
    "ChecksumSHA512": "sha512",
    "ChecksumMD5": "md5",
}
_ETAG: Final = re.compile(r'"?(?P<digest>[0-9a-f]{32})(?:-(?P<parts>[1-9]\d*))?"?')
_COMPOSITE: Final = re.compile(r"(?P<digest>[A-Za-z0-9+/=]+)-(?P<parts>[1-9]\d*)")


def is_multipart(etag: str) -> bool:
    """Whether an object was uploaded in parts: then its whole has no digest that a GET would tell."""
    match = _ETAG.fullmatch(etag)
    return match is not None and match["parts"] is not None


def check_of(headers: Mapping[str, Any], parts: Parts | None, *, bucket: str) -> Check | None:
    """What the bytes have to be; None where nothing tells that.

    Args:
        headers: boto3's answer to HeadObject or GetObject, asked with ChecksumMode.
        parts: Tells where parts end. None where asking for that is not worth it: an object of parts has no check then.
        bucket: Its name tells whether ETags are MD5s.
    """
    for name, algorithm in _FIELDS.items():
        value = headers.get(name)
        if not value or not available(algorithm):
            continue
        if match := _COMPOSITE.fullmatch(value):
            check = _composite(algorithm, match, headers, parts, source=f"the {name} of its parts")
        else:
            check = _whole(algorithm, value, source=f"its {name}")
        if check is not None:
            return check
    return _by_etag(headers, parts, bucket=bucket)


def _by_etag(headers: Mapping[str, Any], parts: Parts | None, *, bucket: str) -> Check | None:
    match = _ETAG.fullmatch(headers.get("ETag", ""))
    encrypted = headers.get("ServerSideEncryption") not in {None, "AES256"} or headers.get("SSECustomerAlgorithm")
    if match is None or encrypted or bucket.endswith("--x-s3") or os.environ.get("MLP_S3_ETAG_IS_MD5") == "false":
        return None
    digest = bytes.fromhex(match["digest"])
    if match["parts"] is None:
        return Check("md5", digest, source="its ETag (MD5; where a store's are not: MLP_S3_ETAG_IS_MD5=false)")
    source = "its ETag (MD5 of its parts' MD5s; where a store's are not: MLP_S3_ETAG_IS_MD5=false)"
    ends = _ends(int(match["parts"]), headers["ContentLength"], parts)
    return Check("md5", digest, ends, source=source) if ends else None


def _whole(algorithm: str, value: str, *, source: str) -> Check | None:
    digest = decoded(value)
    return Check(algorithm, digest, source=source) if digest else None


def _composite(
    algorithm: str,
    match: re.Match[str],
    headers: Mapping[str, Any],
    parts: Parts | None,
    *,
    source: str,
) -> Check | None:
    digest = decoded(match["digest"])
    ends = _ends(int(match["parts"]), headers["ContentLength"], parts)
    return Check(algorithm, digest, ends, source=source) if digest and ends else None


def _ends(count: int, size: int, parts: Parts | None) -> tuple[int, ...]:
    """Where each part ends; () where that cannot be told."""
    if count == 1:
        return (size,)
    ends = parts.ends(count, size) if parts is not None else ()
    return ends if len(ends) == count and ends[-1] == size else ()


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an object.

    Attributes:
        size_of: Asks for the size of a part, by its number from 1.
        thorough: Whether to ask for every part. Otherwise for three of them: nearly every client makes all parts but
            the last of one size.
    """

    size_of: Callable[[int], int]
    thorough: bool = False

    def ends(self, count: int, size: int) -> tuple[int, ...]:
        """Where each part ends.

        Args:
            count: How many there are, at least two.
            size: Of the object.
        """
        if not self.thorough:
            first, last = self.size_of(1), self.size_of(count)
            if first * (count - 1) + last == size and self.size_of(min(2, count - 1)) == first:
                return (*range(first, size - last + 1, first), size)
        return tuple(accumulate(self.size_of(number) for number in range(1, count + 1)))
