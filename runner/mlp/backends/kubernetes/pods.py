"""The pods of runs, and their containers' logs.

The client's own class for the core API takes more than a second to import, with every model that Kubernetes has; the
three paths that are needed here are asked for directly.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlp.backends.kubernetes.answers import checked, lines_of, translated
from mlp.resources.names import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

__all__ = ["Pods"]

Object = dict[str, Any]

_TIMEOUT: Final = (5.0, 30.0)
"""Seconds for connecting, and for each answer."""
_SILENCE: Final = (5.0, 120.0)
"""The same for a log: a container may have nothing to say for as long."""


class Pods:
    """The pods of a namespace."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._server = str(client.configuration.host)
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"

    def of(self, run: str) -> list[Object]:
        """The pods of a ProjectRun, in the order of their creation."""
        with translated(self._server):
            answer = self._ask("", {"labelSelector": f"{RUN_LABEL}={run}"}, _TIMEOUT)
            pods: list[Object] = json.loads(checked(answer).data)["items"]
        return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def get(self, name: str) -> Object | None:
        """A pod, or None if there is none of that name."""
        with translated(self._server):
            answer = self._ask(f"/{quote(name, safe='')}", {}, _TIMEOUT)
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            pod: Object = json.loads(checked(answer).data)
            return pod

    def log(self, name: str, container: str, *, follow: bool, since_seconds: int | None = None) -> Iterator[bytes]:
        """The lines of a container's log, each behind its time, without line ends.

        Raises:
            ClusterError: The container has no log yet, or its pod is gone.
            ClusterUnreachable: The cluster fell silent; so does a container that writes nothing for some minutes.
        """
        query = {"container": container, "follow": str(follow).lower(), "timestamps": "true"}
        if since_seconds is not None:
            query["sinceSeconds"] = str(since_seconds)
        with translated(self._server):
            yield from lines_of(self._ask(f"/{quote(name, safe='')}/log", query, _SILENCE))

    def _ask(self, path: str, query: Mapping[str, str], timeout: tuple[float, float]) -> BaseHTTPResponse:
        request = self._client.param_serialize(
            "GET",
            self._path + path,
            query_params=list(query.items()),
            header_params={"Accept": "*/*"},
            auth_settings=["BearerToken"],
        )
        answer: BaseHTTPResponse = self._client.call_api(*request, _request_timeout=timeout).response
        return answer
