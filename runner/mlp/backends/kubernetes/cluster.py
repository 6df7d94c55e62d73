"""ProjectRuns in a cluster: plain objects in, plain objects out.

Objects stay dictionaries on their way, so that a field that this version does
not know survives it, and so that the client's own models, which refuse such fields, are not in between.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, cast

from kubernetes.client import ApiClient, CustomObjectsApi

from mlp.backends.kubernetes.answers import translated
from mlp.backends.kubernetes.connection import connect
from mlp.backends.kubernetes.core import CoreApi
from mlp.backends.kubernetes.pods import Pods
from mlp.backends.kubernetes.watching import Change, Listing, Selection, changes, states, watched
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

    def runs(self, selection: Selection | None = None) -> list[Object]:
        """The ProjectRuns that are meant, those created last first; without a selection, those of our namespace."""
        return self.listing(selection or Selection()).items

    def listing(self, selection: Selection) -> Listing:
        """The same, with the version from which they can be watched."""
        options = {**self._options(selection), "limit": _PAGE, "_request_timeout": _TIMEOUT}
        items: list[Object] = []
        with translated(self._server):
            while True:
                page = self._object(self._list(selection)(**options))
                items += page["items"]
                if not (following := page["metadata"].get("continue")):
                    break
                options["_continue"] = following
        for item in items:  # the items of a list come without what all of them share
            item.update({"apiVersion": API_VERSION, "kind": KIND} | item)
        items.sort(key=lambda item: item["metadata"]["creationTimestamp"], reverse=True)
        return Listing(items, page["metadata"].get("resourceVersion", ""))

    def watch(self, selection: Selection, version: str, *, seconds: float) -> Iterator[tuple[str, Object]]:
        """The events since a version, as the API names them, for some seconds.

        Args:
            selection: Which ProjectRuns are meant.
            version: The resourceVersion of what is known.
            seconds: How long the server is to stay.
        """
        whole = max(1, math.ceil(seconds))
        with translated(self._server):
            answer = self._list(selection)(
                **self._options(selection),
                resource_version=version,
                timeout_seconds=whole,
                watch=True,
                allow_watch_bookmarks=True,
                _preload_content=False,
                _request_timeout=(5.0, whole + 10.0),
            )
            # What comes unread is urllib3's own.
            yield from watched(cast("BaseHTTPResponse", answer))

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
        return states(self, name, timeout=timeout)

    def changes(self, selection: Selection, since: Listing) -> Iterator[Change]:
        """Every change of the ProjectRuns that are meant, for ever.

        Args:
            selection: Which are meant.
            since: What is known of them.

        Raises:
            ClusterUnreachable: The cluster is silent for longer than a minute.
        """
        return changes(self, selection, since)

    @property
    def core(self) -> CoreApi:
        """What else there is in our namespace."""
        return CoreApi(self._client, self.namespace)

    @property
    def pods(self) -> Pods:
        """The pods of our namespace."""
        return Pods(self.core)

    def _list(self, selection: Selection) -> Callable[..., object]:
        runs = self._runs
        return runs.list_cluster_custom_object if selection.all_namespaces else runs.list_namespaced_custom_object

    def _options(self, selection: Selection) -> dict[str, Any]:
        place = {} if selection.all_namespaces else {"namespace": self.namespace}
        selectors = {"label_selector": selection.labels, "field_selector": selection.fields}
        return {**_KIND, **place, **{name: given for name, given in selectors.items() if given}}

    @staticmethod
    def _object(answer: object) -> Object:
        assert isinstance(answer, dict)  # noqa: S101 -- the API answers with objects; the client calls them `object`
        return answer
