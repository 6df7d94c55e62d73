"""ProjectRuns in a cluster: plain objects in, plain objects out.

Objects stay dictionaries on their way, so that a field that this version does
not know survives it, and so that the client's own models, which refuse such fields, are not in between.
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, Final, cast

from kubernetes.client import ApiClient, CustomObjectsApi

from mlp.backends.kubernetes.answers import lines_of, translated
from mlp.backends.kubernetes.connection import connect
from mlp.backends.kubernetes.pods import Pods
from mlp.errors import ClusterUnreachable, RunNotFound, WaitTimedOut
from mlp.resources.names import API_VERSION, GROUP, KIND, PLURAL, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from urllib3 import BaseHTTPResponse

__all__ = ["Cluster"]

Object = dict[str, Any]

_KIND: Final[dict[str, Any]] = {"group": GROUP, "version": VERSION, "plural": PLURAL}
_TIMEOUT: Final = (5.0, 30.0)
"""Seconds for connecting, and for each answer."""
_PAGE: Final = 500
_WATCH: Final = 15
"""Seconds that one watch lasts. Reading anew between them bounds what a watch that went silent can cost."""
_PATIENCE: Final = 60.0
"""Seconds that a cluster may be silent while we wait for a run."""


class Cluster:
    """A connection to a cluster, and the namespace that is meant when none is named."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self._client = client
        self._runs = CustomObjectsApi(client)
        self._server = str(client.configuration.host)

    @classmethod
    def connect(
        cls, *, kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None
    ) -> Cluster:
        """Find the cluster as kubectl does; nothing is asked of it yet.

        Raises:
            UsageError: There is no such kubeconfig or context.
            ClusterError: There is no kubeconfig at all.
        """
        client, default = connect(kubeconfig=kubeconfig, context=context)
        return cls(client, namespace or default)

    def __enter__(self) -> Self:
        """Close the connections at the end of a ``with`` statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create a ProjectRun.

        Args:
            manifest: The object. Its own namespace counts before ours.
            dry_run: Have the server check everything and store nothing.

        Returns:
            The object as the server has it, with name, uid and defaults.

        Raises:
            UsageError: The server finds it invalid.
            ClusterError: The name is taken, or creating is not allowed.
        """
        namespace = manifest["metadata"].get("namespace") or self.namespace
        options: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
        with translated(self._server):
            return self._object(
                self._runs.create_namespaced_custom_object(
                    **_KIND,
                    namespace=namespace,
                    body=dict(manifest),
                    field_validation="Strict",
                    _request_timeout=_TIMEOUT,
                    **options,
                )
            )

    def get(self, name: str) -> Object:
        """Read a ProjectRun.

        Raises:
            RunNotFound: There is none of that name.
        """
        with translated(self._server):
            return self._object(
                self._runs.get_namespaced_custom_object(
                    **_KIND, namespace=self.namespace, name=name, _request_timeout=_TIMEOUT
                )
            )

    def runs(self, *, all_namespaces: bool = False, selector: str | None = None) -> list[Object]:
        """All ProjectRuns, those created last first.

        Args:
            all_namespaces: Of the whole cluster, not of our namespace alone.
            selector: Labels that they have, as kubectl takes them.
        """
        options: dict[str, Any] = {**_KIND, "limit": _PAGE, "_request_timeout": _TIMEOUT}
        if selector:
            options["label_selector"] = selector
        read: Callable[..., object] = self._runs.list_cluster_custom_object
        if not all_namespaces:
            read, options["namespace"] = self._runs.list_namespaced_custom_object, self.namespace
        items: list[Object] = []
        with translated(self._server):
            while True:
                page = self._object(read(**options))
                items += page["items"]
                if not (following := page["metadata"].get("continue")):
                    break
                options["_continue"] = following
        for item in items:  # the items of a list come without what all of them share
            item.update({"apiVersion": API_VERSION, "kind": KIND} | item)
        return sorted(items, key=lambda item: item["metadata"]["creationTimestamp"], reverse=True)

    def update_spec(self, name: str, spec: Mapping[str, Any]) -> Object:
        """Change fields of a ProjectRun's spec; the server says which ones can change.

        Raises:
            UsageError: A field that cannot.
        """
        with translated(self._server):
            return self._object(
                self._runs.patch_namespaced_custom_object(
                    **_KIND,
                    namespace=self.namespace,
                    name=name,
                    body={"spec": dict(spec)},
                    _content_type="application/merge-patch+json",
                    _request_timeout=_TIMEOUT,
                )
            )

    def delete(self, name: str, *, after_dependents: bool = False) -> None:
        """Delete a ProjectRun; the cluster deletes its Job and pods then.

        Args:
            after_dependents: Keep the object until they are gone.

        Raises:
            RunNotFound: There is none of that name.
        """
        with translated(self._server):
            self._runs.delete_namespaced_custom_object(
                **_KIND,
                namespace=self.namespace,
                name=name,
                propagation_policy="Foreground" if after_dependents else "Background",
                _request_timeout=_TIMEOUT,
            )

    def states(self, name: str, *, timeout: float | None = None) -> Iterator[Object]:
        """A ProjectRun as it is, and again whenever it changes, for as long as it is there.

        It comes again now and then without a change too.

        Args:
            name: The ProjectRun's name.
            timeout: Seconds after which to give up.

        Raises:
            RunNotFound: It is not there, or was deleted meanwhile.
            WaitTimedOut: The time is over.
            ClusterUnreachable: The cluster is silent, at once or for longer than a minute.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        patience = 0.0
        while True:
            try:
                state = self.get(name)
                patience = time.monotonic() + _PATIENCE
                yield state
                yield from self._changes(name, state["metadata"]["resourceVersion"], deadline)
            except ClusterUnreachable:
                if time.monotonic() > patience:
                    raise
                time.sleep(1)
            if time.monotonic() >= deadline:
                raise WaitTimedOut(f"ProjectRun '{name}' has not ended in {timeout:g} s. It goes on.")

    @property
    def pods(self) -> Pods:
        """The pods of our namespace."""
        return Pods(self._client, self.namespace)

    def _changes(self, name: str, version: str, deadline: float) -> Iterator[Object]:
        seconds = max(1, math.ceil(min(_WATCH, deadline - time.monotonic())))
        with translated(self._server):
            answer = self._runs.list_namespaced_custom_object(
                **_KIND,
                namespace=self.namespace,
                field_selector=f"metadata.name={name}",
                resource_version=version,
                timeout_seconds=seconds,
                watch=True,
                _preload_content=False,
                _request_timeout=(5.0, seconds + 10.0),
            )
            for line in lines_of(cast("BaseHTTPResponse", answer)):  # what comes unread is urllib3's own
                event = json.loads(line)
                match event["type"]:
                    case "DELETED":
                        raise RunNotFound(f"ProjectRun '{name}' was deleted.")
                    case "ERROR":
                        return  # the version is too old to watch from: it is read anew
                    case _:
                        yield event["object"]

    @staticmethod
    def _object(answer: object) -> Object:
        assert isinstance(answer, dict)  # noqa: S101 -- the API answers with objects; the client calls them `object`
        return answer
