"""What Databricks says of a run, in the words of a run's life. Pure: an answer of the Jobs API in, a state out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Ending", "Life", "RunState"]


class Life(StrEnum):
    """How far a run is."""

    QUEUED = "Queued"
    """It waits for others: a limit of the workspace, or a run before it."""
    PENDING = "Pending"
    """Its compute is being made ready."""
    RUNNING = "Running"
    ENDING = "Ending"
    """Its task has ended, or was cancelled, and is being cleaned up."""
    ENDED = "Ended"


class Ending(StrEnum):
    """How a run ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """The task itself failed."""
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"
    """The run's own limit (timeout_seconds) was over."""
    SKIPPED = "Skipped"
    """It was never started: too many runs, or it was excluded or disabled."""
    BROKEN = "Broken"
    """Databricks or the cloud failed: no cluster, no library, an error of the service."""


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run.

    Attributes:
        life: How far it is; None where Databricks uses a word that this version does not know. That is no end.
        ending: How it ended; only with life ENDED.
        words: Databricks' own words, such as "TERMINATED SUCCESS".
        message: What it says beside them; "" for nothing.
        again: Whether another attempt may end otherwise.
        page_url: The run's page in the workspace.
        task_run_id: The id of its task's newest run, whose output can be asked for.
        started: When its task began to execute, as far as Databricks says.
        ended: When it ended.
    """

    life: Life | None
    ending: Ending | None = None
    words: str = ""
    message: str = ""
    again: bool = False
    page_url: str | None = None
    task_run_id: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
