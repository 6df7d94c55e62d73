"""The only door to the API server for everything but watches: plain JSON objects in and out.

kubernetes.aio's typed methods refuse fields that the client's release does not know and drop them from answers, so a
pod fragment that a user wrote for a newer server would be lost here. Its ApiClient is used below the typed layer
instead: the configuration, the authentication (also renewed tokens) and the connection pool are its own.

Every request has a time limit. Nothing is retried here: the queue does that, for the whole key.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from mlp_operator.machinery.cache import Object
    from mlp_operator.machinery.metrics import Metrics

__all__ = [
    "CONFIGMAPS",
    "EVENTS",
    "JOBS",
    "PODS",
    "SECRETS",
    "SERVICE_ACCOUNTS",
    "ApiError",
    "Cluster",
    "ClusterUnreachable",
    "ListPage",
    "Resource",
]

_PAGE: Final = 500
_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object as it stands in URLs."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of a collection or of one object."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


JOBS: Final = Resource("batch", "v1", "jobs")
PODS: Final = Resource("", "v1", "pods")
SECRETS: Final = Resource("", "v1", "secrets")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts")
CONFIGMAPS: Final = Resource("", "v1", "configmaps")
EVENTS: Final = Resource("", "v1", "events")


class ApiError(Exception):
    """The API server answered that it will not do it.

    Attributes:
        status: The HTTP status code.
        reason: Kubernetes' own word, as NotFound, AlreadyExists, Conflict, Invalid, Forbidden.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def not_found(self) -> bool:
        """The object, its namespace or its kind is not there."""
        return self.status == 404  # noqa: PLR2004 -- HTTP

    @property
    def forbidden(self) -> bool:
        """The operator lacks a right, or a policy forbids it."""
        return self.status == 403  # noqa: PLR2004 -- HTTP

    @property
    def already_exists(self) -> bool:
        """Another object has that name."""
        return self.reason == "AlreadyExists"

    @property
    def refused(self) -> bool:
        """Sending the same again cannot help: the object is wrong, or not allowed here."""
        return self.status in {400, 403, 413, 422}


class ClusterUnreachable(Exception):  # noqa: N818 -- a state of the world, as asyncio's own names
    """No answer from the API server: the connection failed, or the time ran out."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """A whole list, as one consistent picture."""

    items: list[Object]
    version: int


class Cluster:
    """A connection to one API server. Use as an async context manager.

    Args:
        timeout: Seconds that one request may take.
        metrics: Where requests are counted.
    """

    def __init__(self, *, timeout: float, metrics: Metrics | None = None) -> None:
        self._timeout = timeout
        self._metrics = metrics
        self._api: ApiClient | None = None

    async def __aenter__(self) -> Self:
        """Find the cluster: the pod's own service account, else the kubeconfig."""
        configuration = Configuration()
        configuration.connection_pool_maxsize = _CONNECTIONS
        # Else two threads look for a netrc file and a proxy at each request. The watches take no proxy from the
        # environment either; one that the kubeconfig names counts.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            if os.environ.get("KUBERNETES_SERVICE_HOST"):
                load_incluster_config(client_configuration=configuration)
            else:
                await load_kube_config(client_configuration=configuration)
        except ConfigException as error:
            raise ClusterUnreachable(f"No cluster to talk to: {error}. Set KUBECONFIG, or run in a pod.") from error
        self._api = ApiClient(configuration)
        self._api.user_agent = "mlp-operator"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._api is not None:
            await self._api.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object.

        Raises:
            ApiError: not_found, and whatever else the server says.
            ClusterUnreachable: There was no answer.
        """
        return await self._request("GET", resource.path(namespace, name), resource)

    async def list(
        self, resource: Resource, namespaces: Sequence[str] = (), *, selector: str = "", fields: str = ""
    ) -> ListPage:
        """All objects of a kind: in some namespaces, or in all when none is named."""
        items: list[Object] = []
        versions: list[int] = []
        for namespace in namespaces or (None,):
            token = ""
            while True:
                query = {"limit": str(_PAGE), "labelSelector": selector, "fieldSelector": fields, "continue": token}
                answer = await self._request("GET", resource.path(namespace), resource, query=query, verb="LIST")
                items += answer["items"]
                token = answer["metadata"].get("continue") or ""
                if not token:
                    versions.append(int(answer["metadata"]["resourceVersion"]))
                    break
        return ListPage(items, min(versions))

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Create an object and return it as the server stored it."""
        return await self._request("POST", resource.path(namespace), resource, body=body)

    async def token(self, namespace: str, service_account: str, *, audience: str, seconds: int) -> str:
        """A token of a ServiceAccount that is good for one audience and a short time. The server keeps nothing.

        Args:
            namespace: The ServiceAccount's namespace.
            service_account: Its name.
            audience: Who shall believe the token.
            seconds: How long; the server takes no less than 600.
        """
        path = SERVICE_ACCOUNTS.path(namespace, service_account, "token")
        body: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": seconds},
        }
        answer = await self._request("POST", path, SERVICE_ACCOUNTS, body=body, subresource="token")
        return str(answer["status"]["token"])

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Object, *, subresource: str | None = None
    ) -> Object:
        """Merge-patch an object (RFC 7386) and return it as the server stored it."""
        path = resource.path(namespace, name, subresource)
        content = "application/merge-patch+json"
        return await self._request("PATCH", path, resource, body=body, content=content, subresource=subresource)

    async def delete(
        self, resource: Resource, obj: Object, *, propagation: str | None = None, grace_seconds: int | None = None
    ) -> Object | None:
        """Delete that very object; a newer one of the same name stays.

        Args:
            obj: What to delete; its uid is the precondition.
            propagation: ``Background`` or ``Foreground`` for what has dependents: batch/v1's default leaves the pods
                of a Job behind.
            grace_seconds: How long a pod may take to end, if not as long as it says itself.

        Returns:
            The object as it is while it goes, or None if it is gone.
        """
        metadata = obj["metadata"]
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": metadata["uid"]}}
        if propagation is not None:
            body["propagationPolicy"] = propagation
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        path = resource.path(metadata["namespace"], metadata["name"])
        answer = await self._request("DELETE", path, resource, body=body)
        return answer if "deletionTimestamp" in answer.get("metadata", {}) else None

    async def _request(
        self,
        method: str,
        path: str,
        resource: Resource,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
        verb: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        if self._api is None:
            raise RuntimeError("the cluster is used outside of its context")
        if parameters := {name: value for name, value in (query or {}).items() if value}:
            path += "?" + urlencode(parameters)
        headers = {"Accept": "application/json", "Content-Type": content}
        code = "unreachable"
        try:
            async with asyncio.timeout(self._timeout):
                request = await self._api.param_serialize(
                    method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
                )
                response = await self._api.call_api(*request, _request_timeout=self._timeout)
                code = str(response.status)
                text = await response.read()
        except TimeoutError:
            raise ClusterUnreachable(f"The API server did not answer {method} {path} in {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterUnreachable(f"The API server could not be reached for {method} {path}: {error}") from error
        finally:
            if self._metrics is not None:
                target = f"{resource.plural}/{subresource}" if subresource else resource.plural
                self._metrics.kube_requests.labels(verb=verb or method, resource=target, code=code).inc()
        return _answer(response.status, text)


def _answer(status: int, text: bytes) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        answer = {"reason": "Unknown", "message": text[:200].decode(errors="replace")}
    if status >= 400:  # noqa: PLR2004 -- HTTP
        raise ApiError(status, answer.get("reason") or "Unknown", answer.get("message") or "")
    return answer
