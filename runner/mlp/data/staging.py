"""Putting a file where machines elsewhere find it: under a name made of its content, so that it is sent but once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from mlp.data.address import parse
from mlp.errors import DataInvalid

if TYPE_CHECKING:
    from mlp.data.address import Address

__all__ = ["Staged", "stage", "staged_uri"]


class Staged(NamedTuple):
    """A file that is there.

    Attributes:
        uri: Where.
        sent: Whether it had to be sent; else it was there already.
    """

    uri: str
    sent: bool


def staged_uri(prefix: str, sha256: str, *, suffix: str) -> str:
    """Where `stage` will put a content.

    Args:
        prefix: ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``.
        sha256: The content's digest, in hexadecimal.
        suffix: How names of such files end.

    Raises:
        DataInvalid: The prefix is no such place.
    """
    place = _place(prefix)
    inside = "".join(f"{part}/" for part in place.path.split("/") if part)
    return f"s3://{place.host}/{inside}{sha256}{suffix}"


def stage(content: bytes, prefix: str, *, suffix: str, media_type: str) -> Staged:
    """Have a content in a store, with the caller's own credentials.

    Args:
        content: The file.
        prefix: ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``.
        suffix: How its name ends.
        media_type: What it is.

    Raises:
        DataInvalid: The prefix is no such place, or boto3 is not installed.
        DataError: The store cannot be reached, or refuses it.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    address = parse(staged_uri(prefix, sha256, suffix=suffix))
    try:
        from mlp.data.s3.client import connect  # noqa: PLC0415 -- boto3 may be missing
        from mlp.data.s3.upload import put  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"boto3", "botocore"}:
            raise
        raise DataInvalid(f"{address.shown} needs boto3: pip install 'mlp-operator[data]'.") from None
    client = connect(address.shown, threads=1)
    try:
        return Staged(address.uri, put(client, address, content, sha256=sha256, media_type=media_type))
    finally:
        client.close()


def _place(prefix: str) -> Address:
    address = parse(prefix)
    if address.scheme != "s3" or not address.host:
        raise DataInvalid(f"{address.shown} is no place for bundles. Write s3://BUCKET/PREFIX.")
    return address
