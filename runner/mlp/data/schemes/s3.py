"""``s3:``: an object, or all objects below a prefix. What is known of S3 is in mlp.data.s3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.errors import DataInvalid

if TYPE_CHECKING:
    from mlp.data.address import Address
    from mlp.data.origin import Context, Origin

__all__ = ["open_origin"]


def open_origin(address: Address, context: Context) -> Origin:
    """The way to an object or a prefix.

    Raises:
        DataInvalid: The URI names no bucket, boto3 is not installed, or a setting makes no sense.
        DataAccessDenied: There is no such profile.
    """
    if not address.host:
        raise DataInvalid(f"{address.shown} names no bucket. Write s3://BUCKET/KEY.")
    try:
        from mlp.data.s3.client import connect  # noqa: PLC0415 -- boto3 may be missing
        from mlp.data.s3.objects import S3Objects  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"boto3", "botocore"}:
            raise
        raise DataInvalid(f"{address.shown} needs boto3: pip install 'mlp-operator[data]'.") from None
    return S3Objects(connect(address.shown, threads=context.threads), address)
