"""The part of a Kubernetes API server that the operator talks to, over real HTTP: objects, versions, merge patches.

It validates nothing and runs no controllers; what needs those is tested on a real one. It can be told to misbehave at
one request: answer with an error, or do the thing and lose the answer.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

COLLECTIONS = ("projectruns", "jobs", "pods", "events")
CLUSTER = """
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: "URL"}}]
users: [{name: test, user: {token: none}}]
"""


@dataclass
class ApiServer:
    """Objects by the path of their URL."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    errors: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """Answers to a method and a plural, once each: a status and a reason."""
    lost: set[tuple[str, str]] = field(default_factory=set)
    """Methods and plurals whose next answer does not arrive, although the thing is done."""
    url: str = ""
    _versions: Any = field(default_factory=lambda: itertools.count(5000))

    def store(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        """Put an object there, as if somebody else had made or changed it."""
        obj = deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        obj["metadata"].setdefault("uid", f"uid-{obj['metadata']['resourceVersion']}")
        obj["metadata"].setdefault("creationTimestamp", "2026-03-01T12:00:00Z")
        self.objects[path] = obj
        return obj

    def count(self, method: str, plural: str) -> int:
        return sum(asked == method and f"/{plural}" in path for asked, path in self.requests)

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path))
        body = json.loads(await request.text() or "{}") if request.body_exists else {}
        for method, plural in [*self.errors]:
            if method == request.method and f"/{plural}" in request.path:
                return _failure(*self.errors.pop((method, plural)))
        response = self._do(request.method, request.path, body)
        for method, plural in [*self.lost]:
            if method == request.method and f"/{plural}" in request.path:
                self.lost.discard((method, plural))
                return _failure(504, "Timeout")
        return response

    def _do(self, method: str, path: str, body: dict[str, Any]) -> web.Response:
        if method == "POST":
            name = f"{path}/{body['metadata']['name']}"
            if name in self.objects:
                return _failure(409, "AlreadyExists")
            return web.json_response(self.store(name, body), status=201)
        if method == "GET" and path.rpartition("/")[2] in COLLECTIONS:
            items = [obj for name, obj in self.objects.items() if name.startswith(f"{path}/")]
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})
        item = path.removesuffix("/status")
        if item not in self.objects:
            return _failure(404, "NotFound")
        if method == "PATCH":
            return self._patch(item, body)
        if method == "DELETE":
            if body.get("preconditions", {}).get("uid") not in (None, self.objects[item]["metadata"]["uid"]):
                return _failure(409, "Conflict")
            return web.json_response(self.objects.pop(item) | {"status": "Success"})
        return web.json_response(self.objects[item])

    def _patch(self, item: str, body: dict[str, Any]) -> web.Response:
        version = body.get("metadata", {}).get("resourceVersion")
        if version not in (None, self.objects[item]["metadata"]["resourceVersion"]):
            return _failure(409, "Conflict")
        return web.json_response(self.store(item, merged(self.objects[item], body)))


def merged(target: Any, patch: Any) -> Any:
    """What a merge patch makes of a value (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _failure(status: int, reason: str) -> web.Response:
    return web.json_response({"kind": "Status", "reason": reason, "message": f"made up: {reason}"}, status=status)


@contextlib.asynccontextmanager
async def serving(kubeconfig: Path) -> AsyncIterator[ApiServer]:
    """A server for as long as the block lasts, and a kubeconfig that leads to it."""
    server = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    kubeconfig.write_text(CLUSTER.replace("URL", server.url))  # noqa: ASYNC240 -- nothing else is going on yet
    try:
        yield server
    finally:
        await runner.cleanup()
