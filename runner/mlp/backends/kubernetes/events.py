"""What the cluster has noted about a run: the events of the ProjectRun, its Job and its pods.

Events live for an hour, and who may read runs may not always read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlp.backends.kubernetes.core import CoreApi
    from mlp.resources import ProjectRun

__all__ = ["Event", "events_of", "read_event"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was noted.

    Attributes:
        moment: When, the last time.
        warning: Whether it is worth a look.
        reason: What, in one word.
        about: The object, as kind/name.
        message: What, in a sentence.
        count: How often.
    """

    moment: datetime
    warning: bool
    reason: str
    about: str
    message: str
    count: int


def events_of(core: CoreApi, run: ProjectRun, pods: Iterable[Object] = ()) -> list[Event]:
    """The events about a run and what it owns, in the order of their times.

    Args:
        core: The run's namespace.
        run: The run.
        pods: Its pods.

    Raises:
        ClusterError: They may not be read.
    """
    uids = [run.uid, *(pod["metadata"]["uid"] for pod in pods)]
    if run.status.kubernetes and run.status.kubernetes.job_uid:
        uids.insert(1, run.status.kubernetes.job_uid)
    found = [item for uid in uids for item in core.list("events", fieldSelector=f"involvedObject.uid={uid}")]
    return sorted(map(read_event, found), key=lambda event: event.moment)


def read_event(item: Object) -> Event:
    """An event as the API has it: written by old and by new clients, which fill in other fields."""
    series = item.get("series") or {}
    moments = (
        series.get("lastObservedTime"),
        item.get("lastTimestamp"),
        item.get("eventTime"),
        item["metadata"].get("creationTimestamp"),
    )
    moment = next((text for text in moments if text), None)
    about = item["involvedObject"]
    return Event(
        moment=datetime.fromisoformat(moment) if moment else datetime.fromtimestamp(0, UTC),
        warning=item.get("type") == "Warning",
        reason=item.get("reason") or "",
        about=f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        message=(item.get("message") or "").strip(),
        count=series.get("count") or item.get("count") or 1,
    )
