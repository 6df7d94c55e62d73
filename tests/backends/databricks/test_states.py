"""What the Jobs API says of a run, and what it means. The words are databricks-sdk's, so that none is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from databricks.sdk.service.jobs import (
    RunLifeCycleState,
    RunLifecycleStateV2State,
    RunResultState,
    TerminationCodeCode,
    TerminationTypeType,
)

from mlp.backends.databricks.states import Ending, Life, RunState, state_of
from mlp.backends.databricks.task import NOTHING

OLD_ENDS = {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}
ACCIDENTS = {
    "BREAKING_CHANGE",
    "BUDGET_POLICY_LIMIT_EXCEEDED",
    "CLOUD_FAILURE",
    "CLUSTER_ERROR",
    "CLUSTER_REQUEST_LIMIT_EXCEEDED",
    "DRIVER_ERROR",
    "FEATURE_DISABLED",
    "INTERNAL_ERROR",
    "INVALID_CLUSTER_REQUEST",
    "INVALID_RUN_CONFIGURATION",
    "LIBRARY_INSTALLATION_ERROR",
    "MAX_SPARK_CONTEXTS_EXCEEDED",
    "REPOSITORY_CHECKOUT_FAILED",
    "RESOURCE_NOT_FOUND",
    "STORAGE_ACCESS_ERROR",
    "UNAUTHORIZED_ERROR",
}
NEVER_STARTED = {
    "SKIPPED",
    "DISABLED",
    "MAX_CONCURRENT_RUNS_EXCEEDED",
    "MAX_JOB_QUEUE_SIZE_EXCEEDED",
    "WORKSPACE_RUN_LIMIT_EXCEEDED",
}


def words(enum):
    return sorted(member.value for member in enum)


def old(life, result=None, message=None):
    state = {"life_cycle_state": life, "result_state": result, "state_message": message}
    return {"state": {name: value for name, value in state.items() if value is not None}}


def new(state, code=None, type_=None, message=None):
    details = {"code": code, "type": type_, "message": message}
    found = {name: value for name, value in details.items() if value is not None}
    return {"status": {"state": state} | ({"termination_details": found} if found else {})}


@pytest.mark.parametrize("life", words(RunLifeCycleState))
def test_every_older_word_says_how_far_a_run_is(life):
    lives = {
        "QUEUED": Life.QUEUED,
        "BLOCKED": Life.QUEUED,
        "PENDING": Life.PENDING,
        "WAITING_FOR_RETRY": Life.PENDING,
        "RUNNING": Life.RUNNING,
        "TERMINATING": Life.ENDING,
        "TERMINATED": Life.ENDED,
        "SKIPPED": Life.ENDED,
        "INTERNAL_ERROR": Life.ENDED,
    }
    state = state_of(old(life, "SUCCESS"))
    assert state.life == lives[life]
    assert (state.ending is not None) == (life in OLD_ENDS)


@pytest.mark.parametrize("word", words(RunLifecycleStateV2State))
def test_every_newer_word_says_how_far_a_run_is(word):
    lives = {
        "QUEUED": Life.QUEUED,
        "BLOCKED": Life.QUEUED,
        "PENDING": Life.PENDING,
        "WAITING": Life.PENDING,
        "RUNNING": Life.RUNNING,
        "TERMINATING": Life.ENDING,
        "TERMINATED": Life.ENDED,
    }
    state = state_of(new(word, "SUCCESS", "SUCCESS"))
    assert state.life == lives[word]
    assert (state.ending is not None) == (word == "TERMINATED")


@pytest.mark.parametrize("life", sorted(OLD_ENDS))
@pytest.mark.parametrize("result", words(RunResultState))
def test_every_result_is_an_ending_whatever_the_life_cycle_state_is_called(life, result):
    endings = {
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
    state = state_of(old(life, result))
    assert (state.life, state.ending) == (Life.ENDED, endings[result])
    assert state.words == f"{life} {result}"


@pytest.mark.parametrize("code", words(TerminationCodeCode))
@pytest.mark.parametrize("kind", [None, *words(TerminationTypeType)])
def test_every_termination_code_is_an_ending(code, kind):
    state = state_of(new("TERMINATED", code, kind))
    expected = {
        "SUCCESS": Ending.SUCCEEDED,
        "SUCCESS_WITH_FAILURES": Ending.SUCCEEDED,
        "RUN_EXECUTION_ERROR": Ending.FAILED,
        "USER_CANCELED": Ending.CANCELLED,
        "CANCELED": Ending.CANCELLED,
    }
    expected |= dict.fromkeys(ACCIDENTS, Ending.BROKEN) | dict.fromkeys(NEVER_STARTED, Ending.SKIPPED)
    assert (state.life, state.ending) == (Life.ENDED, expected[code])


@pytest.mark.parametrize("code", words(TerminationCodeCode))
def test_a_failure_is_the_tasks_own_unless_the_code_says_otherwise(code):
    state = state_of(old("INTERNAL_ERROR", "FAILED") | new("TERMINATED", code, "CLIENT_ERROR"))
    if code in ACCIDENTS:
        assert state.ending is Ending.BROKEN
    elif code in NEVER_STARTED:
        assert state.ending is Ending.SKIPPED
    else:
        assert state.ending is Ending.FAILED
        assert state.again


@pytest.mark.parametrize(
    "run",
    [
        old("INTERNAL_ERROR", "FAILED", "Task main failed with message: Workload failed, see run output for details."),
        old("INTERNAL_ERROR", "FAILED") | new("TERMINATED", "RUN_EXECUTION_ERROR", "CLIENT_ERROR"),
        old("TERMINATED", "FAILED"),
        new("TERMINATED", None, "CLIENT_ERROR"),
        old("TERMINATED", "FAILED") | new("TERMINATED", "SOMETHING_NEW", "CLIENT_ERROR"),
    ],
)
def test_a_plain_failure_of_the_task_is_worth_another_attempt(run):
    state = state_of(run)
    assert (state.life, state.ending, state.again) == (Life.ENDED, Ending.FAILED, True)


@pytest.mark.parametrize(
    ("run", "ending", "again"),
    [
        (old("SKIPPED"), Ending.SKIPPED, True),
        (old("SKIPPED", "DISABLED"), Ending.SKIPPED, False),
        (old("SKIPPED", "EXCLUDED"), Ending.SKIPPED, False),
        (old("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED"), Ending.SKIPPED, True),
        (new("TERMINATED", "SKIPPED", "CLIENT_ERROR"), Ending.SKIPPED, False),
        (new("TERMINATED", "WORKSPACE_RUN_LIMIT_EXCEEDED", "CLIENT_ERROR"), Ending.SKIPPED, True),
        (old("INTERNAL_ERROR"), Ending.BROKEN, True),
        (new("TERMINATED", "CLOUD_FAILURE", "CLOUD_FAILURE"), Ending.BROKEN, True),
        (new("TERMINATED", "CLUSTER_ERROR", "CLOUD_FAILURE"), Ending.BROKEN, True),
        (new("TERMINATED", "CLUSTER_ERROR", "CLIENT_ERROR"), Ending.BROKEN, False),
        (new("TERMINATED", "INVALID_CLUSTER_REQUEST"), Ending.BROKEN, False),
        (new("TERMINATED", "CLUSTER_REQUEST_LIMIT_EXCEEDED", "CLIENT_ERROR"), Ending.BROKEN, True),
        (new("TERMINATED", "SOMETHING_NEW", "INTERNAL_ERROR"), Ending.BROKEN, True),
        (old("TERMINATED", "FAILED") | new("TERMINATED", "SOMETHING_NEW", "CLOUD_FAILURE"), Ending.BROKEN, True),
        (old("TERMINATED", "TIMEDOUT"), Ending.TIMED_OUT, False),
        (old("TERMINATED", "TIMEDOUT") | new("TERMINATED", "CANCELED", "CLIENT_ERROR"), Ending.TIMED_OUT, False),
        (new("TERMINATED", "CANCELED", "CLIENT_ERROR", "Run timed out."), Ending.TIMED_OUT, False),
        (old("TERMINATED", "CANCELED"), Ending.CANCELLED, False),
        (old("TERMINATED", "SUCCESS"), Ending.SUCCEEDED, False),
    ],
)
def test_other_ends_are_worth_another_attempt_where_it_may_end_otherwise(run, ending, again):
    state = state_of(run)
    assert (state.life, state.ending, state.again) == (Life.ENDED, ending, again)


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"state": None, "status": []},
        {"state": {"life_cycle_state": 3}},
        old("HIBERNATING"),
        new("HIBERNATING"),
        old("TERMINATED"),
        new("TERMINATED"),
        old("TERMINATED", "HALF_DONE"),
        new("TERMINATED", "HALF_DONE", "HALF"),
        old("INTERNAL_ERROR", "HALF_DONE"),
    ],
)
def test_what_nobody_knows_is_no_end(run):
    state = state_of(run)
    assert (state.life, state.ending, state.again, state.ended) == (None, None, False, None)


def test_unknown_words_are_kept():
    assert state_of(old("TERMINATED", "HALF_DONE")).words == "TERMINATED HALF_DONE"
    assert state_of(new("HIBERNATING")).words == "HIBERNATING"


def test_a_word_that_only_one_of_them_knows_counts():
    assert state_of(old("RUNNING") | new("HIBERNATING")).life is Life.RUNNING
    assert state_of(old("HIBERNATING") | new("RUNNING")).life is Life.RUNNING
    assert state_of(old("TERMINATED", "HALF_DONE") | new("TERMINATED", "SUCCESS")).ending is Ending.SUCCEEDED


def test_a_run_has_the_output_of_its_tasks_newest_attempt():
    tasks = [
        {"run_id": 11, "attempt_number": 0},
        {"run_id": 13, "attempt_number": 2},
        {"run_id": 12, "attempt_number": 1},
    ]
    assert state_of(old("RUNNING") | {"run_id": 1, "tasks": tasks}).task_run_id == 13
    assert state_of(old("RUNNING") | {"tasks": [{"run_id": 11}, {"run_id": 12}]}).task_run_id == 12
    assert state_of(old("RUNNING") | {"run_id": 1}).task_run_id is None
    assert state_of(old("RUNNING") | {"tasks": ["?", {"run_id": True}]}).task_run_id is None


def test_execution_begins_when_the_compute_is_ready():
    task = {"start_time": 1_000_000, "setup_duration": 60_000, "execution_duration": 5_000}
    run = old("TERMINATED", "SUCCESS") | {"start_time": 900_000, "end_time": 1_070_000, "tasks": [task]}
    state = state_of(run)
    assert state.started == datetime.fromtimestamp(1060, UTC)
    assert state.ended == datetime.fromtimestamp(1070, UTC)


def test_what_has_not_begun_has_no_time():
    times = {"start_time": 1_000_000, "setup_duration": 0, "execution_duration": 0, "end_time": 0}
    assert state_of(old("PENDING") | times).started is None
    assert state_of(old("RUNNING") | times).started == datetime.fromtimestamp(1000, UTC)
    assert state_of(old("TERMINATED", "CANCELED") | times) == RunState(
        Life.ENDED, Ending.CANCELLED, words="TERMINATED CANCELED"
    )
    assert state_of(old("RUNNING") | {"start_time": 10**30}).started is None


def test_messages_are_one_line_of_plain_text():
    told = old("TERMINATED", "FAILED", "older") | new(
        "TERMINATED", "RUN_EXECUTION_ERROR", message="a\x1b[31m\n\tb\0c  d"
    )
    assert state_of(told).message == "a [31m b c d"
    assert state_of(old("TERMINATED", "FAILED", "older")).message == "older"
    assert len(state_of(old("RUNNING", message="x" * 10_000)).message) == 2001
    queue = {"state": "QUEUED", "queue_details": {"code": "ACTIVE_RUNS_LIMIT_REACHED", "message": "too many"}}
    assert state_of({"status": queue}).message == "too many"


def test_a_page_is_one_of_the_web():
    assert state_of({"run_page_url": "https://w/#job/1/run/2"}).page_url == "https://w/#job/1/run/2"
    for other in ("javascript:alert(1)", "https://w/\x1b[31m", "https://w/ä", f"https://w/{'x' * 2048}", 1):
        assert state_of({"run_page_url": other}).page_url is None


def test_a_task_that_only_took_a_token_is_known_by_its_file():
    def run(file):
        return {"tasks": [{"run_id": 2, "spark_python_task": {"python_file": file}}]}

    assert state_of(run(NOTHING)).is_nothing
    assert not state_of(run("/Workspace/Users/ann/.mlp/bootstrap.py")).is_nothing
    assert not state_of({}).is_nothing
