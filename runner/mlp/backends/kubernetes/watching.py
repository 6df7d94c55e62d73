"""Staying with ProjectRuns as they change: one until it has ended, or all that a selection names.

A watch is cut by whatever stands between us and the API server, goes silent without a word, and forgets what is old.
So each is short, taken up where the last one ended, and replaced by reading anew where that cannot be.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlp.backends.kubernetes.answers import lines_of
from mlp.errors import ClusterUnreachable, RunNotFound, WaitTimedOut
from mlp.resources.names import API_VERSION, KIND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse

    from mlp.backends.kubernetes.cluster import Cluster

__all__ = ["Change", "Listing", "Selection", "changes", "states", "watched"]

Object = dict[str, Any]

_SHORT: Final = 15.0
"""Seconds that the watch of one run lasts: reading anew between them bounds what one that went silent can cost."""
_LONG: Final = 120.0
"""Seconds that the watch of many lasts: it is taken up at its last event, and reads nothing anew."""
_PATIENCE: Final = 60.0
"""Seconds that a cluster may be silent while we stay."""
_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which ProjectRuns are meant.

    Attributes:
        all_namespaces: Those of the whole cluster, not of one namespace alone.
        labels: Labels that they have, as kubectl takes them.
        fields: Fields that they have, as kubectl takes them.
    """

    all_namespaces: bool = False
    labels: str | None = None
    fields: str | None = None


class Listing(NamedTuple):
    """ProjectRuns, and the moment at which they were read."""

    items: list[Object]
    version: str


class Change(NamedTuple):
    """What has happened to a ProjectRun."""

    run: Object
    gone: bool
    """It was deleted, or is not among those that are meant any more."""


class _Forgotten(Exception):  # noqa: N818 -- what has happened to the version
    """The server does not know any more what has happened since a version."""


def watched(answer: BaseHTTPResponse) -> Iterator[tuple[str, Object]]:
    """The events of a watch, from its answer.

    Raises:
        _Forgotten: It cannot tell what there was.
    """
    if answer.status == HTTPStatus.GONE:
        answer.close()
        raise _Forgotten
    for line in lines_of(answer):
        event = json.loads(line)
        if event["type"] == "ERROR":
            raise _Forgotten
        yield event["type"], event["object"]


def states(cluster: Cluster, name: str, *, timeout: float | None = None) -> Iterator[Object]:
    """What `Cluster.states` promises."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    patience = 0.0
    meant = Selection(fields=f"metadata.name={name}")
    while True:
        try:
            state = cluster.get(name)
            patience = time.monotonic() + _PATIENCE
            yield state
            seconds = min(_SHORT, deadline - time.monotonic())
            for kind, changed in cluster.watch(meant, state["metadata"]["resourceVersion"], seconds=seconds):
                if kind == "DELETED":
                    raise RunNotFound(f"ProjectRun '{name}' was deleted.")
                if kind != "BOOKMARK":
                    yield changed
        except _Forgotten:
            pass  # it is read anew
        except ClusterUnreachable:
            if time.monotonic() > patience:
                raise
            time.sleep(_PAUSE)
        if time.monotonic() >= deadline:
            raise WaitTimedOut(f"ProjectRun '{name}' has not ended in {timeout:g} s. It goes on.")


def changes(cluster: Cluster, selection: Selection, since: Listing) -> Iterator[Change]:
    """What `Cluster.changes` promises."""
    known = {item["metadata"]["uid"]: item for item in since.items}
    version, patience = since.version, time.monotonic() + _PATIENCE
    while True:
        try:
            if version:
                for kind, run in cluster.watch(selection, version, seconds=_LONG):
                    version, patience = run["metadata"]["resourceVersion"], time.monotonic() + _PATIENCE
                    if kind != "BOOKMARK":
                        yield _noted(known, run, gone=kind == "DELETED")
            else:
                listing = cluster.listing(selection)
                yield from _differences(known, listing.items)
                version = listing.version
            patience = time.monotonic() + _PATIENCE
        except _Forgotten:
            version = ""
        except ClusterUnreachable:
            if time.monotonic() > patience:
                raise
            time.sleep(_PAUSE)


def _differences(known: dict[str, Object], now: list[Object]) -> Iterator[Change]:
    """What must have happened meanwhile, the oldest run first."""
    there = {item["metadata"]["uid"] for item in now}
    for uid in [uid for uid in known if uid not in there]:
        yield _noted(known, known[uid], gone=True)
    for item in reversed(now):
        before = known.get(item["metadata"]["uid"])
        if before is None or before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            yield _noted(known, item, gone=False)


def _noted(known: dict[str, Object], run: Object, *, gone: bool) -> Change:
    if gone:
        known.pop(run["metadata"]["uid"], None)
    else:
        known[run["metadata"]["uid"]] = run
    return Change({"apiVersion": API_VERSION, "kind": KIND} | run, gone)
