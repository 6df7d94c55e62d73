"""The few kinds of Kubernetes' core API that stand around a run: asked for directly, as plain objects.

The client's own class for the core API takes more than a second to import, with every model that Kubernetes has. This
module knows paths and JSON; what a pod or an event means is known by who asks.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlp.backends.kubernetes.answers import checked, lines_of, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

__all__ = ["CoreApi"]

Object = dict[str, Any]

_TIMEOUT: Final = (5.0, 30.0)
"""Seconds for connecting, and for each answer."""


class CoreApi:
    """The objects of a namespace, by resource (``pods``, ``events``, ``configmaps``) and name."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self._client = client
        self._server = str(client.configuration.host)

    def get(self, resource: str, name: str) -> Object | None:
        """One object, or None if there is none of that name."""
        with translated(self._server):
            answer = self._ask("GET", f"{resource}/{quote(name, safe='')}")
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            return self._object(answer)

    def list(self, resource: str, **selectors: str) -> list[Object]:
        """The objects that fit ``labelSelector`` and ``fieldSelector``."""
        with translated(self._server):
            items: list[Object] = self._object(self._ask("GET", resource, selectors))["items"]
            return items

    def create(self, resource: str, body: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create an object; as the server has it then.

        Args:
            resource: Its kind's plural.
            body: The object.
            dry_run: Have the server check everything and store nothing.

        Raises:
            ClusterError: The name is taken, or creating is not allowed.
            UsageError: The server finds it invalid.
        """
        with translated(self._server):
            return self._object(self._ask("POST", resource, {"dryRun": "All"} if dry_run else None, body=body))

    def lines(self, path: str, query: Mapping[str, str], *, timeout: tuple[float, float]) -> Iterator[bytes]:
        """What a path answers, by lines as they come and without line ends.

        Args:
            path: Below the namespace.
            query: As the API names it.
            timeout: Seconds for connecting, and for each silence.
        """
        with translated(self._server):
            yield from lines_of(self._ask("GET", path, query, timeout=timeout))

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: tuple[float, float] = _TIMEOUT,
    ) -> BaseHTTPResponse:
        headers = {"Accept": "*/*"} if body is None else {"Accept": "*/*", "Content-Type": "application/json"}
        request = self._client.param_serialize(
            method,
            f"/api/v1/namespaces/{quote(self.namespace, safe='')}/{path}",
            query_params=list((query or {}).items()),
            header_params=headers,
            body=None if body is None else dict(body),
            auth_settings=["BearerToken"],
        )
        answer: BaseHTTPResponse = self._client.call_api(*request, _request_timeout=timeout).response
        return answer

    @staticmethod
    def _object(answer: BaseHTTPResponse) -> Object:
        found: Object = json.loads(checked(answer).data)
        return found
