"""Large files beside a Git server: the batch interface of Git LFS, with an honest store behind it.

It speaks what the protocol's description says of downloads: a batch of objects is asked for by POST, each answer has an
address, and the objects come from there. It sits in a server of tests.servers.git_http, behind the same accounts, at
``REPOSITORY.git/info/lfs``, and may keep the objects on another server.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.cluster.packages import Missing, require

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
"""The line of .gitattributes that ``git lfs track '*.bin'`` writes."""

_TYPE = "application/vnd.git-lfs+json"
_PLACE = "/info/lfs/objects/"


def available() -> bool:
    """Whether there is a client, after an attempt to install one."""
    try:
        require(("git-lfs",))
    except Missing:
        return False
    return True


@dataclass
class LargeFiles:
    """Objects by their names.

    Attributes:
        objects: Contents by SHA-256.
        elsewhere: The URL of another server that the objects are fetched from.
        headers: What clients are told to send along when they fetch them.
        batches: How many objects each batch asked for.
        fetched: Names of the objects that were fetched, in the order in which that happened.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    elsewhere: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def put(self, content: bytes) -> str:
        """Keep a file; gives the text of its pointer."""
        name = hashlib.sha256(content).hexdigest()
        self.objects[name] = content
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{name}\nsize {len(content)}\n"

    def answer(self, handler: BaseHTTPRequestHandler, own_url: str, body: bytes) -> tuple[int, bytes, str] | None:
        """Status, body and type of an answer; None for a request that is none of LFS."""
        before, found, name = handler.path.partition(_PLACE)
        if not found:
            return None
        if handler.command == "POST" and name == "batch":
            return HTTPStatus.OK, self._batch(f"{self.elsewhere or own_url}{before}{_PLACE}", body), _TYPE
        if handler.command == "GET" and name in self.objects:
            self.fetched.append(name)
            return HTTPStatus.OK, self.objects[name], "application/octet-stream"
        return HTTPStatus.NOT_FOUND, b'{"message": "no such object"}', _TYPE

    def _batch(self, place: str, body: bytes) -> bytes:
        asked = json.loads(body)
        assert asked["operation"] == "download"
        self.batches.append(len(asked["objects"]))
        answers = [self._describe(place, wanted["oid"], wanted["size"]) for wanted in asked["objects"]]
        return json.dumps({"transfer": "basic", "objects": answers}).encode()

    def _describe(self, place: str, name: str, size: int) -> dict[str, object]:
        known = {"oid": name, "size": size}
        if name not in self.objects:
            return known | {"error": {"code": 404, "message": "Object does not exist"}}
        return known | {"actions": {"download": {"href": f"{place}{name}", "header": self.headers}}}
