"""The pods of runs, and their containers' logs, as the API server gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlp.resources.names import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.backends.kubernetes.core import CoreApi

__all__ = ["Pods"]

Object = dict[str, Any]

_SILENCE: Final = (5.0, 120.0)
"""Seconds for connecting to a log, and for each answer: a container may have nothing to say for as long."""


class Pods:
    """The pods of a namespace."""

    def __init__(self, core: CoreApi) -> None:
        self._core = core

    def of(self, run: str) -> list[Object]:
        """The pods of a ProjectRun, in the order of their creation."""
        pods = self._core.list("pods", labelSelector=f"{RUN_LABEL}={run}")
        return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def get(self, name: str) -> Object | None:
        """A pod, or None if there is none of that name."""
        return self._core.get("pods", name)

    def log(
        self,
        name: str,
        container: str,
        *,
        follow: bool,
        since_seconds: int | None = None,
        tail_lines: int | None = None,
    ) -> Iterator[bytes]:
        """The lines of a container's log, each behind its time, without line ends.

        Args:
            name: The pod.
            container: Its container.
            follow: Stay for what is still to come.
            since_seconds: Leave out what is older.
            tail_lines: Only so many of the last lines, and what comes.

        Raises:
            ClusterError: The container has no log yet, or its pod is gone.
            ClusterUnreachable: The cluster fell silent; so does a container that writes nothing for some minutes.
        """
        query = {"container": container, "follow": str(follow).lower(), "timestamps": "true"}
        if since_seconds is not None:
            query["sinceSeconds"] = str(since_seconds)
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        return self._core.lines(f"pods/{quote(name, safe='')}/log", query, timeout=_SILENCE)
