"""Putting one object into S3, and making sure that it is there.

The store is given the digest of what it gets, and refuses what arrives otherwise. What is there already is left: it is
told by its size and its ETag, where that is a digest, else by the SHA-256 that stands in its metadata.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from mlp.data.patience import patiently
from mlp.data.s3.diagnosis import explained
from mlp.data.s3.integrity import is_multipart
from mlp.errors import DataAccessDenied, DataCorrupt

if TYPE_CHECKING:
    from mlp.data.address import Address

__all__ = ["put"]

_METADATA: Final = "mlp-sha256"
_KNOWS_NOTHING: Final = frozenset({403, 404})
"""Statuses of a HEAD for an object that is not there; the first where listing the bucket is not allowed."""
_DENIED: Final = frozenset({"AccessDenied", "Forbidden", "403"})


def put(client: Any, address: Address, content: bytes, *, sha256: str, media_type: str) -> bool:  # noqa: ANN401 -- boto3 makes its classes when it runs
    """Have an object in the store with this content.

    Args:
        client: A client of S3.
        address: The object.
        content: What it holds.
        sha256: The content's digest, in hexadecimal.
        media_type: What it is.

    Returns:
        Whether it had to be sent.

    Raises:
        DataError: The store cannot be reached, refuses it, or holds something else in the end.
    """
    place = {"Bucket": address.host, "Key": address.path}
    md5 = hashlib.md5(content, usedforsecurity=False)

    def is_there() -> bool:
        try:
            head = client.head_object(**place)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _KNOWS_NOTHING:
                return False
            raise
        if head["ContentLength"] != len(content):
            return False
        etag = str(head.get("ETag", "")).strip('"')
        encrypted = head.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in head
        if etag and not encrypted and not is_multipart(etag):
            return etag == md5.hexdigest()
        return bool(head.get("Metadata", {}).get(_METADATA) == sha256)

    def send() -> bool:
        with explained(address.shown):
            if is_there():
                return False
            try:
                client.put_object(
                    **place,
                    Body=content,
                    ContentMD5=base64.b64encode(md5.digest()).decode(),
                    ContentType=media_type,
                    Metadata={_METADATA: sha256},
                )
            except ClientError as error:
                if str(error.response.get("Error", {}).get("Code")) in _DENIED:
                    raise DataAccessDenied(
                        f"These credentials do not allow to write {address.shown}. Writing takes s3:PutObject, and "
                        "s3:GetObject to see what is there."
                    ) from None
                raise
            # Without the right to read, the store's word that it took what the digest says has to do.
            if not is_there() and _is_readable(client, place):
                raise DataCorrupt(f"{address.shown} holds something else than was sent. Try again.")
            return True

    return patiently(send)


def _is_readable(client: Any, place: dict[str, str]) -> bool:  # noqa: ANN401 -- as above
    try:
        client.head_object(**place)
    except ClientError as error:
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") not in _KNOWS_NOTHING
    return True
