"""A small client of the API server for observing: plain JSON, watches, nothing cached and nothing parsed twice.

It is not the operator's own, so that nothing the operator does to its client changes how it is observed.
"""

from __future__ import annotations

import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["JOBS", "NAMESPACE", "PODS", "RUNS", "Api", "Object"]

Object = dict[str, Any]

NAMESPACE: Final = "default"
RUNS: Final = f"/apis/mlp.dev/v1alpha1/namespaces/{NAMESPACE}/projectruns"
JOBS: Final = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"

_LONGEST_LINE: Final = 8 << 20  # of a watch: one object a line


class Api:
    """A connection to the API server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connect(cls, kubeconfig: Path) -> AsyncIterator[Api]:
        """Connect as the kubeconfig's user."""
        configuration = Configuration()
        await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file is not None:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
        async with aiohttp.ClientSession(
            base_url=configuration.host,
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            raise_for_status=_complain,
            read_bufsize=_LONGEST_LINE,
        ) as session:
            yield cls(session)

    async def text(self, path: str) -> str:
        """What a path answers to GET, as text."""
        async with self._session.get(path) as answer:
            return await answer.text()

    async def get(self, path: str) -> Object:
        """One object, or a list."""
        async with self._session.get(path) as answer:
            found: Object = await answer.json()
        return found

    async def create(self, path: str, body: Object) -> None:
        """Create an object."""
        async with self._session.post(path, json=body) as answer:
            await answer.read()

    async def patch(self, path: str, body: Object) -> None:
        """Merge-patch an object (RFC 7386)."""
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self._session.patch(path, data=json.dumps(body), headers=headers) as answer:
            await answer.read()

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        """What happens in a collection after a resourceVersion: ADDED, MODIFIED or DELETED, and the object."""
        async with self._session.get(path, params={"watch": "1", "resourceVersion": version}) as answer:
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of {path} failed: {event['object'].get('message')}")
                yield event["type"], event["object"]
        raise RuntimeError(f"the watch of {path} ended")


async def _complain(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 400:
        raise RuntimeError(f"{answer.method} {answer.url.path}: {answer.status} {await answer.text()}")
