"""A run on Databricks as its programs see it: however it ends there, it is waited for, told, recorded and cancelled."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid

import pytest

from mlp.backends.databricks.access import token_access
from mlp.backends.databricks.outcome import raise_for_outcome
from mlp.backends.databricks.polling import Poller
from mlp.backends.databricks.states import Life
from mlp.backends.databricks.submitted import DatabricksRun
from mlp.backends.databricks.workspace import connect
from mlp.errors import RunCancelled, RunError, RunFailed, UsageError, WaitTimedOut
from tests.databricks_server import EXISTING_CLUSTER

PATIENCE = 120.0


class Recorded:
    """A record that tells what was written to it: mlp.tracking's own is tested with a server."""

    def __init__(self, kept: str | None = None) -> None:
        self.kept = kept
        self.ends: list[tuple[str, int | None]] = []
        self.tags: dict[str, str] = {}

    def set_tags(self, tags):
        self.tags |= tags

    def finish(self, status, *, told_to_end=None):
        self.ends.append((status, told_to_end))
        return self.kept or status


@pytest.fixture
def asked(databricks):
    with connect(token_access(databricks.url, databricks.token)) as workspace:
        yield workspace


@pytest.fixture
def poller(asked):
    poller = Poller(asked, period=0.2)
    yield poller
    poller.close()


@pytest.fixture
def begin(databricks, asked, poller):
    """Submit a run that does what is said, and needs no process for it."""

    def submit(directives="SUCCESS", *, record=None, status_check_timeout=PATIENCE):
        name = uuid.uuid4().hex
        databricks.script(name, directives)
        number = asked.submit(
            {
                "run_name": name,
                "idempotency_token": name,
                "tasks": [
                    {
                        "task_key": "main",
                        "existing_cluster_id": EXISTING_CLUSTER,
                        "spark_python_task": {"python_file": "/Workspace/Users/ann@example.com/any.py"},
                    }
                ],
            }
        )
        return DatabricksRun(
            asked, poller, number, run_id="r-1", record=record, status_check_timeout=status_check_timeout
        )

    return submit


def until(condition):
    """Wait for what happens in another thread."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_that_succeeds_is_finished_and_recorded_as_that(begin):
    record = Recorded()
    run = begin({"instant": 0.1, "ending": "SUCCESS", "logs": "one\ntwo\n"}, record=record)

    assert run.wait()
    assert run.get_status() == "FINISHED"
    assert list(run.logs()) == ["one", "two"]
    assert record.ends == [("FINISHED", None)]
    assert record.tags == {}
    assert run.url.startswith("http://127.0.0.1:")


def test_a_copy_of_the_process_does_not_wait_in_vain(begin, monkeypatch):
    ended, goes_on = begin(), begin({"hold": True})
    assert ended.wait()
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: -1)
        assert ended.wait()
        with pytest.raises(UsageError, match=f"Run {goes_on.databricks_run_id} .* wait for it there"):
            goes_on.wait()
    goes_on.cancel()


@pytest.mark.parametrize(
    ("ending", "status", "reason", "kind"),
    [
        ("FAILED", "FAILED", "EntryPointFailed", RunError),
        ("TIMEDOUT", "FAILED", "DeadlineExceeded", RunError),
        ("SKIPPED", "FAILED", "RunSkipped", RunError),
        ("MAXIMUM_CONCURRENT_RUNS_REACHED", "FAILED", "RunSkipped", RunError),
        ("INTERNAL_ERROR", "FAILED", "WorkspaceFailed", RunError),
        ("CLOUD_FAILURE", "FAILED", "WorkspaceFailed", RunError),
        ("CANCELED", "KILLED", "Cancelled", RunCancelled),
    ],
)
def test_every_other_end_is_told_with_its_reason_and_recorded(begin, ending, status, reason, kind):
    record = Recorded()
    run = begin(ending, record=record)

    assert not run.wait()
    assert run.get_status() == status
    assert run.outcome.reason == record.tags["mlp.reason"] == reason
    assert record.tags["mlp.message"] == run.outcome.message
    assert record.ends == [(status, 0 if status == "KILLED" else None)]
    with pytest.raises(kind, match=r"^Run r-1 (failed: |was cancelled\. )"):
        raise_for_outcome(run.outcome, name="Run r-1", output=run.output())


def test_a_plain_failure_of_the_command_on_serverless_compute_is_one_of_the_command(begin):
    run = begin({"ending": "FAILED", "internal_error": True})

    assert run.ended().reason == "EntryPointFailed"
    assert next(run.logs()) == "Error: RuntimeError: as the script says"


@pytest.mark.parametrize(
    ("said", "status"),
    [("RunFailed: it ended with exit status 3.", 3), ("RunFailed: main was ended by SIGKILL. Memory", 137)],
)
def test_the_command_s_exit_status_is_told_where_the_run_tells_it(begin, said, status):
    ending = {
        "result": "FAILED",
        "code": "RUN_EXECUTION_ERROR",
        "type": "CLIENT_ERROR",
        "message": "Workload failed, see run output for details",
        "error": said,
    }
    record = Recorded()
    run = begin({"instant": 0.0, "logs": "its last words\n", "ending": ending}, record=record)
    run.wait()

    with pytest.raises(RunFailed, match="ended") as failed:
        raise_for_outcome(run.outcome, name="Run r-1", output=run.output())

    assert failed.value.status == run.exit_status == run.error.status == status
    assert failed.value.last_lines == run.last_lines() == ("its last words",)
    assert list(run.logs()) == ["its last words", f"Error: {said[11:]}"]
    assert record.tags["mlp.message"] == f"Run {run.databricks_run_id} on Databricks failed: {said[11:]}"


def test_a_run_tells_its_error_and_a_failure_that_somebody_waited_for_is_logged_once(begin, caplog):
    run = begin({"instant": 0.0, "logs": "one\ntwo\n", "ending": "FAILED"})
    assert (run.exit_status, run.error) == (None, None)
    assert not run.wait()
    assert not run.wait()

    assert isinstance(run.error, RunError)
    assert run.exit_status is None
    assert run.last_lines() == ("one", "two")
    assert [each.levelname for each in caplog.records if each.getMessage() == str(run.error)] == ["WARNING"]


def test_a_run_that_succeeded_has_no_error(begin):
    run = begin({"instant": 0.0, "logs": "one\n", "ending": "SUCCESS"})
    assert run.wait()

    assert (run.error, run.exit_status, run.last_lines()) == (None, 0, ("one",))


def test_a_run_that_databricks_has_forgotten_has_failed_for_want_of_better_knowledge(begin, databricks):
    record = Recorded()
    run = begin({"hold": True}, record=record)
    databricks.forget(run.databricks_run_id)

    assert not run.wait()
    assert run.get_status() == "FAILED"
    assert run.outcome.reason == "RunLost"
    assert "is not known there any more" in record.tags["mlp.message"]
    assert list(run.logs()) == []


def test_a_forgotten_run_whose_record_says_how_it_ended_has_ended_so(begin, databricks):
    run = begin({"hold": True}, record=Recorded(kept="FINISHED"))
    databricks.forget(run.databricks_run_id)

    assert run.wait()
    assert "By its record in MLflow it succeeded." in run.outcome.message


def test_a_run_nobody_follows_is_asked_for_when_its_status_is(begin, databricks):
    run = begin({"pending": None, "hold": True})
    until(lambda: run.get_status() == "SCHEDULED")

    databricks.release(run.databricks_run_id)
    until(lambda: run.get_status() == "RUNNING")

    databricks.forget(run.databricks_run_id)
    assert run.get_status() == "FAILED"


def test_a_word_that_nobody_knows_is_no_end(begin, databricks):
    run = begin({"hold": True, "unknown": "WARPING", "ending": "SUCCESS"})
    until(lambda: run.state().life is None)

    assert run.get_status() == "RUNNING"
    databricks.release(run.databricks_run_id)
    assert run.wait()


def test_each_state_is_told_once(begin, databricks):
    run = begin({"pending": None, "hold": True, "ending": "SUCCESS"})
    seen = []
    for state in run.states(timeout=PATIENCE):
        seen.append(state)
        if state.life in {Life.PENDING, Life.RUNNING}:
            databricks.release(run.databricks_run_id)

    assert seen[0].life is Life.PENDING
    assert seen[-1].life is Life.ENDED
    assert all(before != after for before, after in itertools.pairwise(seen))


def test_waiting_may_be_given_up_and_the_run_goes_on(begin, databricks):
    run = begin({"hold": True})

    with pytest.raises(WaitTimedOut, match=r"has not ended in 0\.1 s\. It goes on\."):
        run.wait(timeout=0.1)

    assert databricks.run(run.databricks_run_id)["phase"] != "ended"


def test_a_cancelled_run_has_ended_when_cancel_returns(begin, databricks):
    record = Recorded()
    run = begin({"hold": True}, record=record)

    run.cancel()

    assert databricks.run(run.databricks_run_id)["phase"] == "ended"
    assert run.get_status() == "KILLED"
    # Whatever was written in its last moments is no verdict of its own.
    assert record.ends == [("KILLED", 0)]


def test_to_cancel_a_run_that_has_ended_does_nothing(begin, databricks):
    run = begin("SUCCESS")
    run.wait()

    run.cancel()

    assert databricks.cancels == []
    assert run.get_status() == "FINISHED"


def test_a_cancel_that_is_not_answered_is_asked_for_again(begin, databricks):
    run = begin({"hold": True})
    databricks.faults.add("503", "runs/cancel", times=2, seconds=0.1)
    databricks.faults.add("drop", "runs/cancel", after=True)

    run.cancel()

    assert run.get_status() == "KILLED"


def test_a_workspace_that_cannot_be_asked_to_cancel_is_spoken_of_once(begin, databricks, caplog):
    log = logging.getLogger("mlp.backends.databricks.submitted")
    run = begin({"hold": True})
    run.follow()
    until(lambda: run.get_status() == "RUNNING")
    cancelling = threading.Thread(target=run.cancel)
    log.addHandler(caplog.handler)
    try:
        databricks.stop()
        cancelling.start()
        until(lambda: "cannot be cancelled for now" in caplog.text)
        assert not run.asked_to_end
        assert run.outcome is None
        databricks.start()
        cancelling.join(PATIENCE)
    finally:
        log.removeHandler(caplog.handler)

    assert run.asked_to_end
    assert run.get_status() == "KILLED"
    assert len({id(one) for one in caplog.records if "cannot be cancelled" in one.getMessage()}) == 1


def test_an_outage_is_no_end(begin, databricks):
    record = Recorded()
    run = begin({"hold": True, "ending": "SUCCESS"}, record=record)
    run.follow()
    until(lambda: run.get_status() == "RUNNING")
    ended = threading.Thread(target=run.wait)
    ended.start()

    databricks.stop()
    until(lambda: run._trouble is not None)
    assert run.get_status() == "RUNNING"
    databricks.start()
    databricks.release(run.databricks_run_id)
    ended.join(PATIENCE)

    assert run.get_status() == "FINISHED"
    assert record.ends == [("FINISHED", None)]


def test_an_outage_that_does_not_end_is_told_and_writes_nothing(begin, databricks):
    record = Recorded()
    run = begin({"hold": True}, record=record, status_check_timeout=0.3)
    databricks.stop()

    with pytest.raises(WaitTimedOut, match=r"could not be read since \d{4}-\d\d-\d\d .* The run may go on; look at"):
        run.wait()

    assert record.ends == []
    databricks.start()


def test_the_end_of_a_run_is_recorded_though_nobody_waits(begin):
    record = Recorded()
    run = begin("SUCCESS", record=record)

    run.follow()

    until(lambda: record.ends == [("FINISHED", None)])
    until(lambda: run.outcome is not None)
