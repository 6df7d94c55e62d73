"""The life of runs: PENDING, RUNNING, TERMINATING, TERMINATED, and what a test has scripted instead.

One thread moves all runs on. Every step is written down before it can be seen, so that a server that is started again
on the same files goes on with each run where it was.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.databricks_server.executing import Preparation, needs_preparation
from tests.databricks_server.refusals import RefusedError, invalid, unknown_run
from tests.databricks_server.run import Ending, Phase, Run, Step, script_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.databricks_server.executing import Executor, Outcome
    from tests.databricks_server.store import Store

__all__ = ["Delays", "Runs"]

LOOK_AGAIN = 0.02
"""Seconds between two looks at processes."""
TO_FOLLOW = 2.0
"""Seconds that a task's other processes have to end after it, before they are ended and count as left behind."""


class Delays:
    """How long runs stay in a state, in seconds. May be changed while the server runs.

    Attributes:
        pending: Before the task starts.
        terminating: After it has ended.
        grace: Between SIGTERM and SIGKILL.
    """

    def __init__(self, *, pending: float = 0.0, terminating: float = 0.0, grace: float = 10.0):
        self.pending = pending
        self.terminating = terminating
        self.grace = grace


class Runs:
    """All runs of the workspace.

    Args:
        store: Where they are kept.
        executor: What executes their tasks.
        directory: Below it each gets a directory.
        delays: How long they stay in a state.
        internal_error: Whether a failed task's run ends as INTERNAL_ERROR with result FAILED.
        at_once: How many run at the same time; more are QUEUED if they may be, else SKIPPED.
        gone_status: How a run that does not exist is answered: 400, as the real API does, or 404.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        directory: Path,
        delays: Delays,
        *,
        internal_error: bool = False,
        at_once: int | None = None,
        gone_status: int = 400,
    ):
        self.delays = delays
        self.internal_error = internal_error
        self.at_once = at_once
        self.gone_status = gone_status
        self.submissions: list[dict[str, Any]] = []
        """Every accepted submission: run_id, token, identity, and whether it made a new run."""
        self.cancels: list[dict[str, Any]] = []
        self._store = store
        self._executor = executor
        self._directory = directory
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._runs: dict[int, Run] = {}
        self._tokens: dict[str, int] = {}
        self._task_runs: dict[int, int] = {}
        self._preparations: dict[int, Preparation] = {}
        self._without_leader: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self._stopping = False
        for document in store.runs():
            self._know(Run.from_document(document))

    # -- what clients ask for ------------------------------------------------------------------------------------------

    def submit(self, body: dict[str, Any], identity: str, run_as: str) -> Run:
        """A new run, or the one that has the same idempotency token."""
        with self._changed:
            token = body.get("idempotency_token")
            known = self._runs.get(self._tokens.get(token, 0)) if token else None
            if known is not None and known.deleted:
                raise RefusedError(400, "INVALID_STATE", f"The run with idempotency token '{token}' has been deleted.")
            if known is None:
                run = self._new(body, identity, run_as)
                self._know(run)
                self._save(run)
                self._changed.notify_all()
            else:
                run = known
            self.submissions.append(
                {"run_id": run.run_id, "token": token, "identity": identity, "new": known is None, "at": time.time()}
            )
            return run

    def get(self, run_id: int) -> Run:
        """A run by its own id or its task's."""
        with self._lock:
            run = self._runs.get(self._task_runs.get(run_id, run_id))
            if run is None or run.forgotten or run.deleted:
                raise unknown_run(run_id, self.gone_status)
            return run

    def all(self) -> list[Run]:
        """Those that exist, the newest first."""
        with self._lock:
            there = [run for run in self._runs.values() if not run.forgotten and not run.deleted]
            return sorted(there, key=lambda run: (run.submitted, run.run_id), reverse=True)

    def cancel(self, run_id: int, identity: str) -> None:
        """Ask a run to end. It is answered before that has happened."""
        with self._changed:
            run = self.get(run_id)
            self.cancels.append({"run_id": run.run_id, "asked": run_id, "identity": identity, "at": time.time()})
            if run.active and run.cancel is None and run.phase != Phase.CLEANING:
                run.cancel = "CANCELED"
                self._save(run)
                self._changed.notify_all()

    def delete(self, run_id: int) -> None:
        with self._changed:
            run = self.get(run_id)
            if run.active:
                raise RefusedError(400, "INVALID_STATE", f"Run {run_id} is active: cancel it before it is deleted.")
            run.deleted = True
            self._save(run)

    # -- what tests ask for --------------------------------------------------------------------------------------------

    def script(self, pattern: str, directives: str | dict[str, Any]) -> None:
        """Let new runs whose name contains a pattern (a regular expression) do what a script says (`script_of`)."""
        script_of(directives)
        re.compile(pattern)
        self._store.put_fact("script", pattern, directives)

    def release(self, run_id: int) -> None:
        """Let a run go on that a script holds: one step of its script, or to its end."""
        with self._changed:
            run = self.get(run_id)
            run.released = True
            self._save(run)
            self._changed.notify_all()

    def forget(self, run_id: int) -> None:
        """Let a run's history be over: nobody has heard of it, nor of its token."""
        with self._changed:
            run = self.get(run_id)
            run.forgotten = True
            if run.token:
                self._tokens.pop(run.token, None)
            self._save(run)

    def everything(self) -> list[dict[str, Any]]:
        """All runs as they are kept, the oldest first, also those that are deleted or forgotten."""
        with self._lock:
            return [run.as_document() for run in sorted(self._runs.values(), key=lambda run: run.submitted)]

    # -- how it goes on ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._go_on, name="runs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Move no run on any more. Their processes stay."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        for preparation in self._preparations.values():
            preparation.break_off()

    def _go_on(self) -> None:
        with self._changed:
            while not self._stopping:
                now, again = time.time(), 60.0
                for run in [each for each in self._runs.values() if each.active]:
                    try:
                        again = min(again, self._advance(run, now))
                    except Exception as error:  # noqa: BLE001 -- one run's trouble must not stop all others
                        self._executor.mistakes.append(f"run {run.run_id} cannot go on: {error!r}")
                        self._end(run, Ending("INTERNAL_ERROR", None, repr(error), "INTERNAL_ERROR", "INTERNAL_ERROR"))
                self._executor.reap()
                self._changed.wait(max(again, 0.001))

    def _advance(self, run: Run, now: float) -> float:
        """Move a run on as far as it goes now; seconds until it wants to be looked at again."""
        if run.cancel is None and self._is_over_time(run, now):
            run.cancel = "TIMEDOUT"
            self._save(run)
        step = {
            Phase.WAITING: self._wait,
            Phase.PREPARING: self._prepare,
            Phase.EXECUTING: self._execute,
            Phase.CLEANING: self._clean,
        }[run.phase]
        again = step(run, now)
        limit = _limit(run)
        return again if limit is None or not run.active else max(0.0, min(again, run.submitted + limit - now))

    def _is_over_time(self, run: Run, now: float) -> bool:
        limit = _limit(run)
        return limit is not None and now >= run.submitted + limit and run.phase != Phase.CLEANING

    def _wait(self, run: Run, now: float) -> float:
        if run.cancel is not None:
            self._end(run, _cancelled(run))
            return 0
        steps = run.script.steps or [Step("PENDING", seconds=self.delays.pending)]
        while run.step < len(steps):
            left = _left(steps[run.step].seconds, run, now)
            if left > 0:
                return left
            run.step, run.since, run.released = run.step + 1, now, False
            if run.step < len(steps):
                self._save(run)
        if run.script.ending is not None and run.script.instant is None and not run.script.hold:
            self._end(run, run.script.ending)
            return 0
        # The last step again is what it says while there is no room.
        run.step = max(0, len(steps) - 1)
        if not self._has_room(run):
            return LOOK_AGAIN
        run.launched = now
        if run.script.instant is not None or run.script.hold:
            run.started = now
            self._to(run, Phase.EXECUTING, now)
            return 0
        self._to(run, Phase.PREPARING, now)
        return 0

    def _has_room(self, run: Run) -> bool:
        running = sum(each.phase in {Phase.PREPARING, Phase.EXECUTING} for each in self._runs.values())
        if self.at_once is None or running < self.at_once:
            return True
        if (run.body.get("queue") or {}).get("enabled", True):
            run.script.steps = [Step("QUEUED", seconds=0)]
            run.step = 0
        else:
            self._end(run, script_of("MAXIMUM_CONCURRENT_RUNS_REACHED").ending)
        return False

    def _prepare(self, run: Run, now: float) -> float:
        if run.run_id not in self._preparations and not self._executor.is_prepared(run):
            if run.cancel is not None:
                self._end(run, _cancelled(run))
                return 0
            if needs_preparation(run) or not self._executor.has_python:
                self._preparations[run.run_id] = Preparation(self._executor, run)
                return LOOK_AGAIN
            failure = self._executor.prepare_now(run)
            if failure is not None:
                self._end(run, failure)
                return 0
            self._to(run, Phase.EXECUTING, now)
            return LOOK_AGAIN
        preparation = self._preparations.get(run.run_id)
        if preparation is not None:
            if run.cancel is not None:
                preparation.break_off()
            elif not preparation.done:
                return LOOK_AGAIN
            del self._preparations[run.run_id]
            if preparation.launched is None:
                self._end(run, preparation.ending if run.cancel is None else _cancelled(run))
                return 0
        self._to(run, Phase.EXECUTING, now)
        return LOOK_AGAIN

    def _execute(self, run: Run, now: float) -> float:
        if run.script.instant is not None or run.script.hold:
            left = _left(None if run.script.hold else run.script.instant, run, now)
            if left > 0 and run.cancel is None:
                return left
            self._finish(run, _cancelled(run) if run.cancel else run.script.ending or Ending(), now)
            return 0
        if run.pid is None:
            # However often it is started, by this server or another one, it runs once.
            claim = self._executor.claimed(run)
            if claim is not None:
                run.pid, run.began, run.started = claim["pid"], claim["began"], claim["at"]
                self._save(run)
            elif self._executor.was_never_started(run):
                if run.cancel is not None:
                    self._finish(run, _cancelled(run), now)
                    return 0
                self._executor.launch(run)
                return LOOK_AGAIN
            elif run.cancel is not None and self._executor.is_running(run):
                return LOOK_AGAIN
        outcome = self._executor.outcome(run)
        if run.cancel is not None:
            # Ended before the word came or after it: the word counts, as long as the end was not told.
            self._executor.ask_to_end(run)
            self._finish(run, _cancelled(run), now)
            return LOOK_AGAIN
        if outcome is None:
            return LOOK_AGAIN
        run.finished = outcome.at
        self._finish(run, self._ending(run, outcome), now)
        return 0

    def _ending(self, run: Run, outcome: Outcome) -> Ending:
        if outcome.succeeded:
            return Ending()
        said = "Workload failed, see run output for details"
        failed = Ending("TERMINATED", "FAILED", said, "RUN_EXECUTION_ERROR", "CLIENT_ERROR")
        failed.error, failed.trace = outcome.error, outcome.trace
        quirk = run.script.internal_error if run.script.internal_error is not None else self.internal_error
        if quirk:
            failed.life, failed.task_life = "INTERNAL_ERROR", "TERMINATED"
            failed.message = f"Task {run.task['task_key']} failed with message: {said}."
        return failed

    def _finish(self, run: Run, ending: Ending, now: float) -> None:
        run.ending = ending
        run.finished = run.finished or now
        self._to(run, Phase.CLEANING, now)

    def _clean(self, run: Run, now: float) -> float:
        """Wait until nothing of the run is left, and help along."""
        assert run.ending is not None
        if run.script.instant is None and not run.script.hold:
            if self._executor.is_running(run):
                if now < run.since + self.delays.grace:
                    return LOOK_AGAIN
            elif not self._is_alone(run, now):
                return LOOK_AGAIN
            if not self._executor.sweep(run):
                return LOOK_AGAIN
        left = run.since + self.delays.terminating - now
        if left > 0:
            return left
        self._end(run, run.ending)
        return 0

    def _is_alone(self, run: Run, now: float) -> bool:
        """Whether what the task has started is gone, or has had its time; what then is still there is noted."""
        left = self._executor.left(run)
        since = self._without_leader.setdefault(run.run_id, now)
        if left and now < since + TO_FOLLOW:
            return False
        if left and not run.left_behind:
            run.left_behind = left
            self._save(run)
        return True

    def _end(self, run: Run, ending: Ending | None) -> None:
        run.ending = ending or Ending()
        run.ended = time.time()
        run.finished = run.finished or run.ended
        self._to(run, Phase.ENDED, run.ended)

    def _to(self, run: Run, phase: str, now: float) -> None:
        run.phase, run.since, run.released = phase, now, False
        self._save(run)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _new(self, body: dict[str, Any], identity: str, run_as: str) -> Run:
        run_id, task_run_id = self._fresh_id(), self._fresh_id()
        tags = (body["tasks"][0].get("new_cluster") or {}).get("custom_tags") or {}
        given = tags.get("double")
        if given is not None and given.lstrip().startswith("{"):
            given = json.loads(given)
        for pattern, directives in self._store.facts("script").items():
            if given is None and re.search(pattern, body.get("run_name", "Untitled")):
                given = directives
        try:
            script = script_of(given if given is not None else {})
        except (KeyError, TypeError) as error:
            raise invalid(f"The double does not understand the tag double={given!r}: {error!r}") from error
        now = time.time()
        directory = self._directory / str(run_id)
        directory.mkdir(parents=True)
        run = Run(run_id, task_run_id, body, identity, run_as, now, str(directory), script)
        run.since = now
        return run

    def _fresh_id(self) -> int:
        while True:
            found = random.randrange(10**14, 10**15)
            if found not in self._runs and found not in self._task_runs:
                return found

    def _know(self, run: Run) -> None:
        self._runs[run.run_id] = run
        self._task_runs[run.task_run_id] = run.run_id
        if run.token and not run.forgotten:
            self._tokens[run.token] = run.run_id

    def _save(self, run: Run) -> None:
        self._store.put_run(run.run_id, run.as_document())


def _limit(run: Run) -> int | None:
    given = [each for each in (run.body.get("timeout_seconds"), run.task.get("timeout_seconds")) if each]
    return min(given, default=None)


def _left(seconds: float | None, run: Run, now: float) -> float:
    if seconds is None:
        return 0.0 if run.released else 3600.0
    return run.since + seconds - now


def _cancelled(run: Run) -> Ending:
    ending = script_of(run.cancel or "CANCELED").ending
    assert ending is not None
    return ending
