"""What Databricks says of a run, in the words of a run's life. Pure: an answer of the Jobs API in, a state out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from mlp.backends.databricks.task import NOTHING

__all__ = ["Ending", "Life", "RunState", "state_of"]


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
        is_nothing: Whether its task is `task.NOTHING`: whoever submitted it wanted its token to be taken.
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
    is_nothing: bool = False


# The words of state.life_cycle_state, and those of the newer status.state, which are fewer.
_LIVES: Final = {
    "QUEUED": Life.QUEUED,
    "BLOCKED": Life.QUEUED,
    "WAITING": Life.PENDING,
    "WAITING_FOR_RETRY": Life.PENDING,
    "PENDING": Life.PENDING,
    "RUNNING": Life.RUNNING,
    "TERMINATING": Life.ENDING,
    "TERMINATED": Life.ENDED,
    "SKIPPED": Life.ENDED,
    "INTERNAL_ERROR": Life.ENDED,
}
_RESULTS: Final = {
    "SUCCESS": Ending.SUCCEEDED,
    "SUCCESS_WITH_FAILURES": Ending.SUCCEEDED,
    "FAILED": Ending.FAILED,
    "UPSTREAM_FAILED": Ending.FAILED,
    "TIMEDOUT": Ending.TIMED_OUT,
    "CANCELED": Ending.CANCELLED,
    "UPSTREAM_CANCELED": Ending.CANCELLED,
    "MAXIMUM_CONCURRENT_RUNS_REACHED": Ending.SKIPPED,
    "EXCLUDED": Ending.SKIPPED,
    "DISABLED": Ending.SKIPPED,
}
_CODES: Final = {
    "SUCCESS": Ending.SUCCEEDED,
    "SUCCESS_WITH_FAILURES": Ending.SUCCEEDED,
    "RUN_EXECUTION_ERROR": Ending.FAILED,
    "USER_CANCELED": Ending.CANCELLED,
    "CANCELED": Ending.CANCELLED,
    "SKIPPED": Ending.SKIPPED,
    "DISABLED": Ending.SKIPPED,
    "MAX_CONCURRENT_RUNS_EXCEEDED": Ending.SKIPPED,
    "MAX_JOB_QUEUE_SIZE_EXCEEDED": Ending.SKIPPED,
    "WORKSPACE_RUN_LIMIT_EXCEEDED": Ending.SKIPPED,
    "BREAKING_CHANGE": Ending.BROKEN,
    "BUDGET_POLICY_LIMIT_EXCEEDED": Ending.BROKEN,
    "CLOUD_FAILURE": Ending.BROKEN,
    "CLUSTER_ERROR": Ending.BROKEN,
    "CLUSTER_REQUEST_LIMIT_EXCEEDED": Ending.BROKEN,
    "DRIVER_ERROR": Ending.BROKEN,
    "FEATURE_DISABLED": Ending.BROKEN,
    "INTERNAL_ERROR": Ending.BROKEN,
    "INVALID_CLUSTER_REQUEST": Ending.BROKEN,
    "INVALID_RUN_CONFIGURATION": Ending.BROKEN,
    "LIBRARY_INSTALLATION_ERROR": Ending.BROKEN,
    "MAX_SPARK_CONTEXTS_EXCEEDED": Ending.BROKEN,
    "REPOSITORY_CHECKOUT_FAILED": Ending.BROKEN,
    "RESOURCE_NOT_FOUND": Ending.BROKEN,
    "STORAGE_ACCESS_ERROR": Ending.BROKEN,
    "UNAUTHORIZED_ERROR": Ending.BROKEN,
}
_TYPES: Final = {
    "SUCCESS": Ending.SUCCEEDED,
    "CLIENT_ERROR": Ending.FAILED,
    "CLOUD_FAILURE": Ending.BROKEN,
    "INTERNAL_ERROR": Ending.BROKEN,
}
# Databricks counts limits among the client's errors; they are over some time later all the same.
_LIMITS: Final = frozenset(
    {
        "MAXIMUM_CONCURRENT_RUNS_REACHED",
        "MAX_CONCURRENT_RUNS_EXCEEDED",
        "MAX_JOB_QUEUE_SIZE_EXCEEDED",
        "WORKSPACE_RUN_LIMIT_EXCEEDED",
        "CLUSTER_REQUEST_LIMIT_EXCEEDED",
        "MAX_SPARK_CONTEXTS_EXCEEDED",
    }
)
# What another attempt would meet again, where Databricks does not say whose error it is.
_LASTING: Final = frozenset(
    {
        "DISABLED",
        "EXCLUDED",
        "BREAKING_CHANGE",
        "BUDGET_POLICY_LIMIT_EXCEEDED",
        "FEATURE_DISABLED",
        "INVALID_CLUSTER_REQUEST",
        "INVALID_RUN_CONFIGURATION",
        "RESOURCE_NOT_FOUND",
        "UNAUTHORIZED_ERROR",
    }
)
_LONGEST_MESSAGE: Final = 2000
_LONGEST_PAGE: Final = 2048


def state_of(run: Mapping[str, Any]) -> RunState:
    """Understand what runs/get and runs/list say of a run: the older ``state``, the newer ``status``, or both."""
    told = _Told.of(run)
    life = told.life
    ending = told.ending if life is Life.ENDED else None
    if life is Life.ENDED and ending is None:
        life = None  # ended in a way that nobody knows yet: neither well nor badly
    task = _newest_task(run)
    return RunState(
        life=life,
        ending=ending,
        words=told.words,
        message=told.message,
        again=ending is not None and told.may_end_otherwise(ending),
        page_url=_page(run.get("run_page_url")),
        task_run_id=_number(task.get("run_id")),
        started=_started(run, task, life),
        ended=_moment(run.get("end_time")) if life is Life.ENDED else None,
        is_nothing=_part(task, "spark_python_task").get("python_file") == NOTHING,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """The words of an answer; "" for what is not there."""

    old_life: str
    new_life: str
    result: str
    code: str
    type: str
    message: str

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> _Told:
        state, status = _part(run, "state"), _part(run, "status")
        details = _part(status, "termination_details")
        messages = (details.get("message"), state.get("state_message"), _part(status, "queue_details").get("message"))
        return cls(
            old_life=_word(state.get("life_cycle_state")),
            new_life=_word(status.get("state")),
            result=_word(state.get("result_state")),
            code=_word(details.get("code")),
            type=_word(details.get("type")),
            message=next((cleaned for text in messages if (cleaned := _cleaned(text))), ""),
        )

    @property
    def life(self) -> Life | None:
        # A new word may have been added to one of them only.
        return _LIVES.get(self.new_life) or _LIVES.get(self.old_life)

    @property
    def words(self) -> str:
        how = self.result or self.code
        return " ".join(word for word in (self.old_life or self.new_life, how) if word)

    @property
    def ending(self) -> Ending | None:
        """How a run that has ended did so; None where nothing known is said about that."""
        by_result, by_code = _RESULTS.get(self.result), _CODES.get(self.code)
        if by_result is Ending.FAILED:
            # So is called whatever went wrong: the code knows whether the task had anything to do with it. The life
            # cycle state INTERNAL_ERROR does not: tasks that simply failed have it, too.
            accident = by_code or (Ending.BROKEN if _TYPES.get(self.type) is Ending.BROKEN else None)
            return accident if accident in {Ending.BROKEN, Ending.SKIPPED} else Ending.FAILED
        if by_result is not None:
            return by_result
        if self.code == "CANCELED" and "timed out" in self.message.lower():
            return Ending.TIMED_OUT  # with this code alone, Databricks says that it was its own doing
        if by_code is not None:
            return by_code
        if self.type in _TYPES:
            return _TYPES[self.type]
        if self.result or self.code:
            return None
        return {"SKIPPED": Ending.SKIPPED, "INTERNAL_ERROR": Ending.BROKEN}.get(self.old_life)

    def may_end_otherwise(self, ending: Ending) -> bool:
        """Whether another attempt makes sense, a time limit being one that the next attempt would meet as well."""
        if ending is Ending.FAILED:
            return True
        if ending not in {Ending.BROKEN, Ending.SKIPPED}:
            return False
        words = {self.code, self.result}
        if words & _LIMITS:
            return True
        if self.type:
            return self.type != "CLIENT_ERROR"
        return not words & _LASTING


def _newest_task(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last attempt of the run's one task; empty if the answer has no tasks."""
    tasks = run.get("tasks")
    found = [task for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []
    return max(enumerate(found), key=lambda one: (_number(one[1].get("attempt_number")) or 0, one[0]), default=(0, {}))[
        1
    ]


def _started(run: Mapping[str, Any], task: Mapping[str, Any], life: Life | None) -> datetime | None:
    """When the task began to execute. start_time alone is when its compute was asked for."""
    if life not in {Life.RUNNING, Life.ENDING, Life.ENDED}:
        return None
    source = task if _number(task.get("start_time")) else run
    setup = _number(source.get("setup_duration"))
    start = _number(source.get("start_time"))
    if not start:
        return None
    if life is not Life.RUNNING and source.get("execution_duration") == 0:
        return None  # it ended before it began
    return _moment(start + (setup or 0))


def _moment(milliseconds: object) -> datetime | None:
    number = _number(milliseconds)
    if not number:
        return None  # 0 is "not yet"
    try:
        return datetime.fromtimestamp(number / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _part(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = answer.get(name)
    return part if isinstance(part, Mapping) else {}


def _word(given: object) -> str:
    return _cleaned(given)[:100]


def _number(given: object) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _page(given: object) -> str | None:
    """A page of the web, in a form that a status has room for and a terminal may be shown."""
    if not isinstance(given, str) or len(given) > _LONGEST_PAGE or not (given.isascii() and given.isprintable()):
        return None
    return given if given.startswith(("https://", "http://")) else None


def _cleaned(given: object) -> str:
    """A text for one line of a status: without line breaks and control characters, and not too long."""
    if not isinstance(given, str):
        return ""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in given).split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
