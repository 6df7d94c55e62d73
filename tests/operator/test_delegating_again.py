"""What an operator does about runs on Databricks that another one has begun, and of which it has yet to hear."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mlp.backends.databricks.states import Ending, Life
from mlp_operator.runs.actions import Remote
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from tests.operator.remote_world import RemoteWorld
from tests.operator.test_delegating import SERVER, running, submitted

LOST = Refused("AuthenticationFailed", "the repository wants other credentials")


def unreadable(world):
    world.remote = replace(world.remote, unreadable_since=world.now, trouble="nobody answers")
    return world


def unsubmitted(**spec):
    """A run whose token is written, and that only a process that is gone may have handed over."""
    world = submitted(**spec)
    world.body["status"] = {**world.statuses[0]}
    world.restart()
    return world


def never_sent(world, submission=None):
    """The process that has written the token knows that nobody has sent it."""
    token = world.databricks["token"]
    world.remote = Remote(token, submission=submission, unsent=True)
    return world


def waiting(**spec):
    """A run that cannot be handed over: nothing of it has ever left the operator."""
    world = RemoteWorld.of(**spec)
    world.workspace = "down"
    world.settle()
    world.there.clear()
    return never_sent(world, replace(world.remote.submission, retry_at=world.now + timedelta(seconds=30)))


# --- a process that has heard nothing yet -----------------------------------------------------------------------------


def test_what_an_earlier_process_could_not_read_is_as_it_was_until_something_is_heard():
    world = running(tracking=SERVER)
    unreadable(world)
    world.settle()
    world.settle(after=31)
    before = world.body["status"]
    assert (world.phase, world.reason) == ("Running", "WorkspaceUnavailable")
    world.restart()
    world.settle()
    assert world.body["status"] == before
    assert world.told == ["SCHEDULED", "RUNNING"]
    world.hear(Life.RUNNING)
    world.settle()
    assert (world.phase, world.reason) == ("Running", "Running")
    assert "statusCheckFailureTime" not in world.databricks


@pytest.mark.parametrize("phase", ["Preparing", "Running"])
def test_a_state_that_can_be_read_again_and_is_none_that_is_known_is_no_trouble(phase):
    world = running() if phase == "Running" else submitted()
    unreadable(world)
    world.settle(after=31)
    assert world.reason == "WorkspaceUnavailable"
    world.hear(None)
    world.settle()
    assert (world.phase, world.reason) == (phase, {"Preparing": "Submitted", "Running": "Running"}[phase])


def test_a_state_that_cannot_be_read_is_not_looked_at_again_and_again():
    world = unreadable(running())
    assert world.settle().again_after == pytest.approx(30)
    decision = world.settle(after=31)
    assert decision.again_after == pytest.approx(1769)


def test_one_question_without_an_answer_does_not_end_a_run_that_nobody_looked_after_for_long():
    world = unreadable(running())
    world.settle(after=31)
    world.now += timedelta(hours=3)
    world.restart()
    unreadable(world)
    decision = world.settle()
    assert world.phase == "Running"
    assert decision.again_after == pytest.approx(30)
    world.settle(after=31)
    assert world.reason == "StatusCheckTimeout"


def test_how_long_it_could_not_be_handed_over_does_not_count_once_it_was():
    world = waiting()
    world.settle(after=31)
    assert world.databricks["statusCheckFailureTime"]
    world.workspace = "up"
    world.settle(after=1780)
    assert world.databricks["runId"]
    unreadable(world)
    world.settle(after=31)
    assert (world.phase, world.reason) == ("Preparing", "WorkspaceUnavailable")


@pytest.mark.parametrize("spec", [{"pendingDeadlineSeconds": 100}, {"activeDeadlineSeconds": 100}])
def test_a_deadline_that_was_over_while_nobody_looked_ends_no_run_that_met_it(spec):
    world = submitted(**spec)
    world.hear(Life.PENDING)
    world.settle()
    world.restart()
    decision = world.settle(after=500)
    assert world.cancelled == []
    assert "cancelReason" not in world.databricks
    assert decision.again_after is None, "what is heard leads to another look, and time does not"
    if "pendingDeadlineSeconds" in spec:
        world.hear(Life.RUNNING, started=world.now - timedelta(seconds=450))
        world.settle()
        assert world.phase == "Running"
    else:
        world.ends(Ending.SUCCEEDED)
        assert world.phase == "Succeeded"


@pytest.mark.parametrize("heard", ["pending", "nothing"])
def test_a_deadline_that_was_over_while_nobody_looked_ends_a_run_that_did_not_meet_it(heard):
    world = submitted(pendingDeadlineSeconds=100)
    world.restart()
    if heard == "pending":
        world.hear(Life.PENDING)
    else:
        unreadable(world)
    world.settle(after=500)
    assert world.cancelled == ["501"]


# --- tokens that may have been sent -----------------------------------------------------------------------------------


def test_a_run_that_was_handed_over_goes_on_though_its_project_is_lost():
    world = unsubmitted()
    world.outcome = LOST
    world.settle()
    assert world.databricks["runId"] == "501"
    world.hear(Life.RUNNING)
    world.settle()
    world.ends(Ending.SUCCEEDED)
    assert world.phase == "Succeeded"


def test_a_run_that_was_not_handed_over_before_its_project_was_lost_fails_for_that():
    world = unsubmitted()
    world.outcome = LOST
    world.settle()
    world.ends(Ending.FAILED, is_nothing=True)
    assert (world.phase, world.reason) == ("Failed", "AuthenticationFailed")
    assert not world.held


def test_a_project_that_is_lost_before_anything_was_sent_is_not_looked_for_there():
    world = never_sent(unsubmitted())
    world.outcome = LOST
    world.settle()
    assert world.reason == "AuthenticationFailed"
    assert "FindRemote" not in world.actions


@pytest.mark.parametrize(
    ("change", "phase"), [({"shutdown": "Stop"}, "Cancelled"), ({"suspend": True}, "Suspended")], ids=["stop", "hold"]
)
def test_what_was_never_sent_need_not_be_looked_for(change, phase):
    world = waiting()
    world.change(**change)
    world.settle()
    assert world.phase == phase
    assert "FindRemote" not in world.actions
    if phase == "Suspended":
        assert "token" not in world.databricks
        world.workspace = "up"
        world.change(suspend=False)
        world.settle(after=5)
        assert world.databricks["token"] == "run-uid-2"
        assert world.body["status"]["attempts"] == 1


def test_a_deadline_ends_at_once_what_was_never_sent():
    world = waiting(pendingDeadlineSeconds=100)
    world.settle(after=101)
    assert (world.phase, world.reason) == ("Failed", "PendingDeadlineExceeded")


def test_a_deadline_ends_another_attempt_that_was_never_sent():
    world = running(backoffLimit=1, activeDeadlineSeconds=100)
    world.workspace = "down"
    world.ends(Ending.FAILED, again=True)
    assert world.databricks["token"] == "run-uid-2"
    never_sent(world, Unavailable("WorkspaceUnavailable", "nobody answers", world.now))
    world.settle(after=101)
    assert (world.phase, world.reason) == ("Failed", "DeadlineExceeded")


def test_a_deleted_run_that_was_never_sent_goes_at_once():
    world = waiting()
    world.delete()
    world.settle()
    assert world.gone
    assert world.gave_up == []
    assert "FindRemote" not in world.actions


def test_what_is_just_being_sent_is_waited_for():
    world = waiting()
    never_sent(world, Working(world.now))
    world.change(shutdown="Stop")
    world.settle()
    assert world.phase == "Pending"
    world.delete()
    world.settle()
    assert not world.gone


# --- holding what fails by itself -------------------------------------------------------------------------------------


def test_a_run_that_fails_while_it_is_to_be_held_keeps_its_other_attempts():
    world = running(backoffLimit=1)
    world.body["spec"]["suspend"] = True
    world.ends(Ending.FAILED, again=True)
    assert world.phase == "Suspended"
    world.change(suspend=False)
    world.settle(after=5)
    assert world.databricks["token"] == "run-uid-2"
    assert world.body["status"]["attempts"] == 2
    world.hear(Life.RUNNING)
    world.settle()
    world.ends(Ending.FAILED, again=True)
    assert (world.phase, world.reason) == ("Failed", "BackoffLimitExceeded")


def test_no_run_is_said_to_be_cancelled_of_which_nobody_knows_that():
    world = running()
    world.change(shutdown="Stop")
    world.settle()
    unreadable(world)
    world.settle(after=31)
    world.settle(after=1800)
    assert world.reason == "StatusCheckTimeout"
    assert "DatabricksRunCancelled" not in world.events


def test_a_run_is_held_again_that_somebody_has_written_without_our_finalizer():
    world = running()
    world.body["metadata"]["finalizers"].clear()
    world.settle()
    assert world.held
    world.ends(Ending.SUCCEEDED)
    assert not world.held
