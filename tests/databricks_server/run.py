"""A run as the double keeps it: what was asked for, how far it is, and what the test wants to happen to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Ending", "Phase", "Run", "Script", "Step"]


class Phase:
    """How far a run is, in the double's own words."""

    WAITING = "waiting"
    """Goes through the steps before its task starts."""
    PREPARING = "preparing"
    """Its libraries are installed, its repository cloned."""
    EXECUTING = "executing"
    CLEANING = "cleaning"
    """Its task has ended or is being ended; what is left of its processes goes."""
    ENDED = "ended"


@dataclass
class Step:
    """A stretch of a run's life before its task starts.

    Attributes:
        life: What `state` says (life_cycle_state).
        state: What `status` says; None for the same word.
        seconds: How long; None for until `release`.
        code: Why it is queued (queue_details).
    """

    life: str
    state: str | None = None
    seconds: float | None = 0.0
    code: str | None = None


@dataclass
class Ending:
    """How a run ended: the words of `state`, and those of `status`."""

    life: str = "TERMINATED"
    result: str | None = "SUCCESS"
    message: str = ""
    code: str = "SUCCESS"
    type: str = "SUCCESS"
    state: str = "TERMINATED"
    said: str | None = None
    """The message in termination_details, where it is not the same."""
    error: str | None = None
    """What get-output says."""
    trace: str | None = None
    task_life: str | None = None
    """The task's own life_cycle_state, where it is not the run's."""


@dataclass
class Script:
    """What is to happen to a run, instead of what would.

    Attributes:
        steps: Before its task starts; None for PENDING, for as long as the server's `pending` says.
        instant: Seconds for which it runs without any process; None: its task is executed.
        hold: It stays RUNNING, with no process, until it is released.
        ending: How it ends without having run; None: as its task does.
        logs: What an instant run has printed.
        internal_error: A failure of the task is told as serverless compute does: INTERNAL_ERROR with result FAILED.
        without_status: Leave `status` away, as older workspaces do.
        unknown: A word that no client knows, told instead of RUNNING.
    """

    steps: list[Step] | None = None
    instant: float | None = None
    hold: bool = False
    ending: Ending | None = None
    logs: str = ""
    internal_error: bool | None = None
    without_status: bool = False
    unknown: str | None = None


@dataclass
class Run:
    """A run. Times are seconds since the epoch."""

    run_id: int
    task_run_id: int
    body: dict[str, Any]
    creator: str
    run_as: str
    submitted: float
    directory: str
    script: Script = field(default_factory=Script)
    phase: str = Phase.WAITING
    step: int = 0
    since: float = 0.0
    """When this step or phase began."""
    launched: float | None = None
    started: float | None = None
    """When its task began to execute."""
    finished: float | None = None
    """When its task ended."""
    ended: float | None = None
    pid: int | None = None
    began: int | None = None
    """The process's start in the kernel's ticks: a pid alone may come to mean another."""
    used_commit: str | None = None
    cancel: str | None = None
    """Why it is being ended: "CANCELED" or "TIMEDOUT"."""
    released: bool = False
    ending: Ending | None = None
    forgotten: bool = False
    deleted: bool = False
    left_behind: list[str] = field(default_factory=list)
    """The command lines of processes that were still there once its task had ended."""

    @property
    def task(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["tasks"][0]
        return found

    @property
    def active(self) -> bool:
        return self.phase != Phase.ENDED

    @property
    def token(self) -> str | None:
        return self.body.get("idempotency_token")

    def as_document(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Run:
        ending = document["ending"]
        return cls(
            **document | {"script": script_of(document["script"]), "ending": ending and Ending(**ending)},
        )


ENDINGS = {
    "SKIPPED": Ending("SKIPPED", None, "The run was skipped.", "SKIPPED", "CLIENT_ERROR"),
    "EXCLUDED": Ending("SKIPPED", "EXCLUDED", "The task was excluded.", "SKIPPED", "CLIENT_ERROR"),
    "DISABLED": Ending("SKIPPED", "DISABLED", "The task is disabled.", "DISABLED", "CLIENT_ERROR"),
    "MAXIMUM_CONCURRENT_RUNS_REACHED": Ending(
        "SKIPPED",
        "MAXIMUM_CONCURRENT_RUNS_REACHED",
        "Maximum concurrent runs reached.",
        "MAX_CONCURRENT_RUNS_EXCEEDED",
        "CLIENT_ERROR",
    ),
    "INTERNAL_ERROR": Ending(
        "INTERNAL_ERROR", None, "Unexpected failure of the service.", "INTERNAL_ERROR", "INTERNAL_ERROR"
    ),
    "CLOUD_FAILURE": Ending(
        "INTERNAL_ERROR",
        None,
        "Cluster could not be launched: the cloud provider is out of instances of this type.",
        "CLOUD_FAILURE",
        "CLOUD_FAILURE",
    ),
    "CLUSTER_ERROR": Ending(
        "INTERNAL_ERROR", "FAILED", "The cluster terminated unexpectedly.", "CLUSTER_ERROR", "CLOUD_FAILURE"
    ),
    "INVALID_CLUSTER_REQUEST": Ending(
        "INTERNAL_ERROR",
        "FAILED",
        "Cluster could not be launched: the node type is not supported.",
        "INVALID_CLUSTER_REQUEST",
        "CLIENT_ERROR",
    ),
    "UPSTREAM_FAILED": Ending("TERMINATED", "UPSTREAM_FAILED", "", "RUN_EXECUTION_ERROR", "CLIENT_ERROR"),
    "UPSTREAM_CANCELED": Ending("TERMINATED", "UPSTREAM_CANCELED", "", "CANCELED", "CLIENT_ERROR"),
    "SUCCESS_WITH_FAILURES": Ending("TERMINATED", "SUCCESS_WITH_FAILURES", "", "SUCCESS_WITH_FAILURES", "SUCCESS"),
    "SUCCESS": Ending(),
    "FAILED": Ending(
        "TERMINATED",
        "FAILED",
        "Workload failed, see run output for details",
        "RUN_EXECUTION_ERROR",
        "CLIENT_ERROR",
        error="RuntimeError: as the script says",
    ),
    "CANCELED": Ending("TERMINATED", "CANCELED", "Run cancelled.", "USER_CANCELED", "CLIENT_ERROR"),
    "TIMEDOUT": Ending("TERMINATED", "TIMEDOUT", "Run timed out.", "CANCELED", "CLIENT_ERROR"),
}
"""Endings by a word that a script may say."""

BEFORE = {
    "pending": ("PENDING", "PENDING"),
    "queued": ("QUEUED", "QUEUED"),
    "blocked": ("BLOCKED", "BLOCKED"),
    "waiting_for_retry": ("WAITING_FOR_RETRY", "WAITING"),
}


def script_of(given: str | dict[str, Any]) -> Script:
    """A script from what a test says.

    Args:
        given: One of the words of `ENDINGS`; or the fields of `Script`, where `ending` may be such a word, and
            ``pending``, ``queued``, ``blocked`` and ``waiting_for_retry`` stand for steps of so many seconds (None:
            until released), in the order given.
    """
    if isinstance(given, str):
        given = {"ending": given}
    values = dict(given)
    steps = [Step(*BEFORE[name], values.pop(name)) for name in list(values) if name in BEFORE]
    listed = values.pop("steps", None)
    if listed is not None:
        steps += [each if isinstance(each, Step) else Step(**each) for each in listed]
    ending = values.pop("ending", None)
    if isinstance(ending, str):
        ending = dataclasses.replace(ENDINGS[ending])
    elif isinstance(ending, dict):
        ending = Ending(**ending)
    return Script(steps=steps or None, ending=ending, **values)
