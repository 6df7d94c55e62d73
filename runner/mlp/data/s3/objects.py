"""An object, or all objects below a prefix, of S3 and of stores that speak its protocol.

Small objects come whole in one request each, with the checksum that is stored beside them. Larger ones are looked up
first, for what their bytes have to be, and then come in several ranges at once, each of which insists on the ETag.
boto3's own transfers check neither ranges nor objects that were uploaded in parts; everything is checked here. What
can be compared is for mlp.data.s3.integrity to say, and what an error means for mlp.data.s3.diagnosis.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from mlp.data.origin import Item, Listing, Plan, Reply
from mlp.data.pieces import pieces
from mlp.data.s3.diagnosis import explained
from mlp.data.s3.integrity import Parts, check_of, is_multipart
from mlp.errors import DataNotFound, DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.address import Address

__all__ = ["S3Objects"]

_LARGE: Final = 16 << 20
"""Bytes from which on an object comes in ranges."""

# Each block costs some of the one interpreter that all streams share; each stream holds one.
_BLOCK: Final = 1 << 20

_MISSING: Final = 404


class S3Objects:
    """An object, or those below a prefix."""

    def __init__(self, client: Any, address: Address) -> None:  # noqa: ANN401 -- boto3 makes its classes when it runs
        self._client = client
        self._bucket = address.host
        self._key = address.path
        self._planned: set[str] = set()
        self.shown = address.shown

    def find(self) -> Listing:
        """Look the object up; if there is none of that very name, list what lies below it."""
        if self._key and not self._key.endswith("/"):
            with explained(self.shown):
                head = self._head_if_there()
            if head is not None:
                return Listing([Item("", head["ContentLength"], self._key, head["ETag"])])
        return self._list()

    def _head_if_there(self) -> dict[str, Any] | None:
        try:
            return dict(self._client.head_object(Bucket=self._bucket, Key=self._key))
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == _MISSING:
                return None
            # The answer to a HEAD has no body that would say why. A GET's has, and this one brings a byte at most.
            with closing(self._client.get_object(Bucket=self._bucket, Key=self._key, Range="bytes=0-0")["Body"]):
                raise

    def _list(self) -> Listing:
        prefix = f"{self._key.rstrip('/')}/" if self._key.rstrip("/") else ""
        items, directories = [], []
        found = False
        with explained(self.shown):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    found = True
                    key, size = entry["Key"], entry["Size"]
                    path = key[len(prefix) :]
                    if not path and not size:
                        continue  # the placeholder of the prefix itself
                    if path.endswith("/") and not size:
                        directories.append(path[:-1])
                    else:
                        items.append(Item(path, size, key, entry.get("ETag", "")))
        if not found and prefix:
            raise DataNotFound(f"There is no {self.shown}: neither an object of that key nor one below it.")
        return Listing(items, directories, directory=True)

    def plan(self, item: Item) -> Plan:
        """In one request, or in ranges."""
        again = item.key in self._planned
        self._planned.add(item.key)
        if (item.size or 0) <= _LARGE and not is_multipart(item.version) and not again:
            return Plan(version=item.version)
        with explained(self.shown):
            # What was replaced since it was listed has another size and ETag now.
            head = self._client.head_object(Bucket=self._bucket, Key=item.key, ChecksumMode="ENABLED")
            etag = head["ETag"]
            check = check_of(head, Parts(partial(self._part, item.key, etag), thorough=again), bucket=self._bucket)
        return Plan(pieces(head["ContentLength"], check.ends if check else ()), check, etag)

    def _part(self, key: str, etag: str, number: int) -> int:
        head = self._client.head_object(Bucket=self._bucket, Key=key, PartNumber=number, IfMatch=etag)
        return int(head["ContentLength"])

    @contextmanager
    def read(self, item: Item, version: str, begin: int, end: int | None) -> Iterator[Reply]:
        """Ask for an object, or for a range of it."""
        whole = begin == 0 and end is None
        wanted = {"ChecksumMode": "ENABLED"} if whole else {"Range": f"bytes={begin}-{'' if end is None else end - 1}"}
        if version:
            wanted["IfMatch"] = version
        with explained(self.shown):
            if begin == end:
                yield Reply((), begin, begin)
                return
            answer = self._client.get_object(Bucket=self._bucket, Key=item.key, **wanted)
            if not whole and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:  # noqa: PLR2004 -- HTTP's
                answer["Body"].close()
                raise DataUnavailable(f"The store of {self.shown} does not serve parts of objects.")
            check = check_of(answer, None, bucket=self._bucket) if whole else None
            with closing(answer["Body"]) as body:
                blocks = iter(lambda: body.read(_BLOCK), b"")
                yield Reply(blocks, begin, begin + answer["ContentLength"], check, answer["ETag"])

    def confirm(self, item: Item, version: str) -> None:
        """Each request has insisted on the ETag."""

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
