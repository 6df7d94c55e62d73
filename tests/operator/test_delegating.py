"""What the operator does about a run on Databricks: its rows of the state table, and the ways out of the ordinary."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlp.backends.databricks.states import Ending, Life
from mlp.backends.databricks.task import ArchivedProject, GitProject
from mlp_operator.runs.actions import RemoteOutput
from tests.operator.kstatus import kstatus
from tests.operator.remote_world import PAGE, RemoteWorld, remotely_resolved

SERVER = {"uri": "https://mlflow.example.org"}


def submitted(**spec):
    """A run that has its id on Databricks."""
    world = RemoteWorld.of(**spec)
    world.settle()
    assert world.databricks["runId"] == "501"
    return world


def running(**spec):
    world = submitted(**spec)
    world.hear(Life.RUNNING)
    world.settle()
    assert world.phase == "Running"
    return world


# --- a whole life -----------------------------------------------------------------------------------------------------


def test_a_run_is_held_and_its_token_written_before_it_is_submitted():
    world = RemoteWorld.of()
    world.settle()
    assert world.actions == ["Resolve", "HoldRun", "SubmitRemote"]
    assert [status["databricks"].get("runId") for status in world.statuses] == [None, "501"]
    assert world.statuses[0]["databricks"] == {"token": "run-uid-1", "attempt": 1}
    assert world.there == {"run-uid-1": "501"}


def test_a_run_goes_through_its_whole_life():
    world = RemoteWorld.of()
    world.settle()
    assert (world.phase, world.reason) == ("Preparing", "Submitted")
    world.hear(Life.PENDING)
    world.settle()
    assert (world.phase, world.reason) == ("Preparing", "WaitingForCompute")
    world.hear(Life.RUNNING)
    world.settle()
    assert (world.phase, world.reason) == ("Running", "Running")
    assert world.conditions()["Initialized"] == "True"
    world.hear(Life.ENDING)
    world.settle()
    assert world.phase == "Running"
    world.ends(Ending.SUCCEEDED)
    assert (world.phase, world.reason) == ("Succeeded", "Succeeded")
    assert world.databricks == {
        "token": "run-uid-1",
        "attempt": 1,
        "runId": "501",
        "runPageUrl": f"{PAGE}501",
        "state": "TERMINATED Succeeded",
        "logConfigMapName": "wine-log",
    }
    assert not world.held
    assert world.events == [
        "ProjectResolved",
        "DatabricksRunSubmitted",
        "RunStarted",
        "RunSucceeded",
    ]
    assert len(world.statuses) == 5
    assert kstatus(world.body) == "Current"


def test_what_is_submitted_says_what_the_run_asks_for():
    world = submitted(
        project={"uri": "https://git.example.org/wine", "entryPoint": "train"},
        environment={"manager": "Local"},
        activeDeadlineSeconds=600,
    )
    (task,) = world.tasks
    assert task.name == "team-a/wine (run-uid-1)"
    assert task.compute.new_cluster == {"spark_version": "16.4.x-scala2.12", "num_workers": 1}
    assert isinstance(task.project, ArchivedProject)
    assert task.timeout_seconds == 600
    assert task.assignment.entry_point == "train"
    assert task.assignment.parameters == {"alpha": "0.5"}
    assert task.assignment.manager == "local"
    assert task.assignment.directory == "/tmp/mlp-run-uid"
    assert task.assignment.variables == {}, "what runs there is no part of the cluster, and starts no runs in it"


def test_a_project_that_the_workspace_fetches_is_a_python_file_of_its_repository():
    world = RemoteWorld.of()
    world.body["spec"]["backend"] = {
        "type": "Databricks",
        "databricks": {**world.body["spec"]["backend"]["databricks"], "projectSource": "Git", "gitProvider": "gitHub"},
    }
    world.settle()
    project = world.tasks[0].project
    assert isinstance(project, GitProject)
    assert (project.python_file, project.arguments) == ("train.py", ("--alpha", "0.5"))


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_process_that_dies_between_the_token_and_the_id_is_followed_by_one_that_finds_the_run():
    world = submitted()
    world.body["status"] = {**world.statuses[0]}  # the id was never written
    world.restart()
    world.settle()
    assert world.there == {"run-uid-1": "501"}
    assert world.databricks["runId"] == "501"


def test_a_process_that_dies_after_the_id_does_not_submit_again():
    world = running()
    world.restart()
    world.settle()
    assert world.actions.count("SubmitRemote") == 1
    world.ends(Ending.SUCCEEDED)
    assert world.phase == "Succeeded"


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "reason", "phase"),
    [
        (Ending.FAILED, "EntryPointFailed", "Failed"),
        (Ending.TIMED_OUT, "DeadlineExceeded", "Failed"),
        (Ending.SKIPPED, "RunSkipped", "Failed"),
        (Ending.BROKEN, "WorkspaceFailed", "Failed"),
        (Ending.CANCELLED, "Cancelled", "Cancelled"),
    ],
)
def test_each_way_to_end_badly_has_its_reason(ending, reason, phase):
    world = running()
    world.ends(ending, message="as Databricks says")
    assert (world.phase, world.reason) == (phase, reason)
    assert "as Databricks says" in world.message or ending is Ending.FAILED
    assert not world.held
    assert kstatus(world.body) == "Failed"


def test_a_failure_is_told_with_its_error_and_the_end_of_its_log():
    world = running()
    world.output = RemoteOutput("line 1\nline 2\n", "RuntimeError: The command ended with exit status 3.", "wine-log")
    world.ends(Ending.FAILED, message="Workload failed, see run output for details.")
    assert "exit status 3" in world.message
    assert world.message.endswith("line 1\nline 2")


def test_the_end_waits_for_what_the_run_has_left_behind():
    world = running()
    world.output = None
    world.ends(Ending.SUCCEEDED)
    assert world.phase == "Running"
    world.remote = replace(world.remote, output=RemoteOutput(), asking=False)
    world.settle()
    assert world.phase == "Succeeded"


def test_a_run_whose_history_is_gone_is_lost_and_not_submitted_again():
    world = running(backoffLimit=3)
    world.remote = replace(world.remote, state=None, gone=True)
    world.settle()
    assert (world.phase, world.reason) == ("Failed", "RunLost")
    assert len(world.there) == 1
    assert not world.held


def test_a_failure_is_tried_again_under_another_token_as_often_as_asked():
    world = running(backoffLimit=1)
    world.ends(Ending.FAILED, again=True)
    assert world.there == {"run-uid-1": "501", "run-uid-2": "502"}
    assert world.body["status"]["attempts"] == 2
    assert world.databricks["attempt"] == 2
    assert "RunRetrying" in world.events
    world.hear(Life.RUNNING)
    world.settle()
    world.ends(Ending.FAILED, again=True)
    assert (world.phase, world.reason) == ("Failed", "BackoffLimitExceeded")
    assert world.message.startswith("All 2 attempts failed.")


def test_a_mistake_of_the_user_is_not_tried_again():
    world = running(backoffLimit=3)
    world.ends(Ending.BROKEN, again=False, message="the library is none")
    assert (world.phase, world.reason) == ("Failed", "WorkspaceFailed")
    assert len(world.there) == 1


def test_a_word_that_nobody_knows_is_no_end():
    world = running()
    world.hear(None)
    world.settle()
    assert (world.phase, world.reason) == ("Running", "Running")
    assert world.databricks["state"] == "NEW_WORD"


# --- a workspace that does not answer ---------------------------------------------------------------------------------


def test_a_workspace_that_is_away_is_asked_again():
    world = RemoteWorld.of(outcome=remotely_resolved())
    world.workspace = "down"
    decision = world.settle()
    assert (world.phase, world.reason) == ("Pending", "WorkspaceUnavailable")
    assert decision.again_after == pytest.approx(30)
    world.workspace = "up"
    world.settle(after=31)
    assert world.databricks["runId"] == "501"
    assert "statusCheckFailureTime" not in world.databricks


def test_what_the_workspace_refuses_fails():
    world = RemoteWorld.of()
    world.workspace = "refusing"
    world.settle()
    assert (world.phase, world.reason) == ("Failed", "WorkspaceRefused")
    assert "x9" in world.message
    assert not world.held


def test_a_state_that_cannot_be_read_is_told_after_a_while_and_ends_the_run_after_long():
    world = running()
    world.remote = replace(world.remote, unreadable_since=world.now, trouble="nobody answers")
    world.settle()
    assert world.reason == "Running"
    world.settle(after=31)
    assert (world.phase, world.reason) == ("Running", "WorkspaceUnavailable")
    assert world.databricks["statusCheckFailureTime"]
    world.hear(Life.RUNNING)
    world.settle()
    assert (world.phase, world.reason) == ("Running", "Running")
    assert "statusCheckFailureTime" not in world.databricks
    assert world.events.count("RunStarted") == 1
    world.remote = replace(world.remote, unreadable_since=world.now, trouble="nobody answers")
    world.settle(after=31)
    world.settle(after=1800)
    assert (world.phase, world.reason) == ("Failed", "StatusCheckTimeout")
    assert world.held, "what may still be there is cancelled when the object goes"


def test_how_long_a_state_was_unreadable_outlives_the_operator():
    world = running()
    world.remote = replace(world.remote, unreadable_since=world.now, trouble="nobody answers")
    world.settle(after=31)
    world.restart()
    world.remote = replace(world.remote, unreadable_since=world.now, trouble="nobody answers")
    world.settle(after=1775)
    assert world.reason == "StatusCheckTimeout"


# --- ending it --------------------------------------------------------------------------------------------------------


def test_a_shut_down_run_is_cancelled_when_databricks_says_so_and_not_before():
    world = running()
    world.change(shutdown="Stop")
    world.settle()
    assert world.cancelled == ["501"]
    assert (world.phase, world.reason) == ("Running", "Ending")
    assert world.databricks["cancelReason"] == "Cancelled"
    world.hear(Life.ENDING)
    world.settle()
    assert world.phase == "Running"
    world.ends(Ending.CANCELLED)
    assert (world.phase, world.reason) == ("Cancelled", "Cancelled")
    assert world.events[-2:] == ["DatabricksRunCancelled", "RunCancelled"]
    assert world.cancelled == ["501"]
    assert not world.held


def test_a_run_that_succeeds_while_it_is_cancelled_has_succeeded():
    world = running()
    world.change(shutdown="Stop")
    world.settle()
    world.ends(Ending.SUCCEEDED)
    assert world.phase == "Succeeded"


def test_a_run_that_was_to_be_cancelled_and_goes_on_is_cancelled_again():
    world = running()
    world.change(shutdown="Terminate")
    world.settle()
    world.settle(after=121)
    assert world.cancelled == ["501", "501"]


def test_a_run_that_may_have_been_submitted_is_found_before_it_is_cancelled():
    world = submitted()
    world.body["status"] = {**world.statuses[0]}
    world.restart()
    world.change(shutdown="Stop")
    world.settle()
    assert "FindRemote" in world.actions
    assert world.cancelled == ["501"]
    assert world.there == {"run-uid-1": "501"}


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.BROKEN, Ending.SKIPPED, Ending.CANCELLED])
@pytest.mark.parametrize(("wanted", "phase"), [({"shutdown": "Stop"}, "Cancelled"), ({"suspend": True}, "Suspended")])
def test_what_only_took_the_token_of_a_run_says_nothing_about_it(wanted, phase, ending):
    world = submitted(backoffLimit=1)
    world.change(**wanted)
    # It ends at once, and is seen before anybody has asked it to end.
    world.ends(ending, is_nothing=True, again=True)
    assert world.phase == phase
    assert "FetchOutput" not in world.actions
    if phase == "Suspended":
        world.change(suspend=False)
        world.settle()
        assert world.databricks["token"] == "run-uid-2"


def test_a_run_that_is_to_go_on_after_its_token_was_taken_is_submitted_under_another():
    world = submitted()
    world.ends(Ending.FAILED, is_nothing=True)
    assert world.databricks["token"] == "run-uid-2"
    assert world.body["status"]["attempts"] == 1


def test_a_run_that_was_never_submitted_is_cancelled_at_once():
    world = RemoteWorld.of(shutdown="Stop")
    world.settle()
    assert world.phase == "Cancelled"
    assert world.there == {}


def test_a_run_that_is_refused_while_it_is_shut_down_is_cancelled():
    world = RemoteWorld.of()
    world.workspace = "down"
    world.settle()
    world.workspace = "refusing"
    world.change(shutdown="Stop")
    world.settle(after=31)
    assert world.phase == "Cancelled"


def test_the_deadline_of_a_run_ends_it_on_databricks():
    world = running(activeDeadlineSeconds=60)
    decision = world.settle()
    assert decision.again_after == pytest.approx(60)
    world.settle(after=61)
    assert world.cancelled == ["501"]
    world.ends(Ending.CANCELLED)
    assert (world.phase, world.reason) == ("Failed", "DeadlineExceeded")
    assert "activeDeadlineSeconds" in world.message


def test_a_run_that_gets_no_compute_in_time_is_ended():
    world = submitted(pendingDeadlineSeconds=100)
    world.hear(Life.PENDING)
    world.settle()
    world.settle(after=91)
    assert world.cancelled == ["501"]
    world.ends(Ending.CANCELLED)
    assert (world.phase, world.reason) == ("Failed", "PendingDeadlineExceeded")


def test_a_workspace_that_is_away_for_too_long_ends_a_run_that_is_not_to_go_on():
    world = RemoteWorld.of(pendingDeadlineSeconds=100)
    world.workspace = "down"
    world.settle()
    world.settle(after=91)
    assert world.phase == "Pending", "nobody knows whether it was submitted"
    for _ in range(70):
        world.settle(after=31)
    assert world.reason == "StatusCheckTimeout"
    assert world.held


# --- holding it -------------------------------------------------------------------------------------------------------


def test_a_held_run_is_not_submitted_until_it_is_let_go():
    world = RemoteWorld.of(suspend=True)
    world.settle()
    assert world.phase == "Suspended"
    assert world.there == {}
    world.change(suspend=False)
    world.settle()
    assert world.databricks["runId"] == "501"


def test_holding_a_run_cancels_it_there_and_letting_it_go_submits_it_anew():
    world = running()
    world.change(suspend=True)
    world.settle()
    assert world.cancelled == ["501"]
    assert world.reason == "Ending"
    world.ends(Ending.CANCELLED)
    assert (world.phase, world.reason) == ("Suspended", "Suspended")
    assert world.databricks["attempt"] == 1
    assert "token" not in world.databricks
    assert "startTime" not in world.body["status"]
    world.change(suspend=False)
    world.settle()
    assert world.there == {"run-uid-1": "501", "run-uid-2": "502"}
    assert world.body["status"]["attempts"] == 1, "that was no attempt that failed"
    world.hear(Life.RUNNING)
    world.settle()
    world.ends(Ending.SUCCEEDED)
    assert world.phase == "Succeeded"


def test_a_run_that_is_let_go_while_it_is_being_held_goes_on_as_another_submission():
    world = running()
    world.change(suspend=True)
    world.settle()
    world.change(suspend=False)
    world.settle()
    world.ends(Ending.CANCELLED)
    assert world.there == {"run-uid-1": "501", "run-uid-2": "502"}
    assert world.databricks["runId"] == "502"


def test_a_held_run_that_is_shut_down_is_cancelled():
    world = running()
    world.change(suspend=True)
    world.settle()
    world.change(shutdown="Stop")
    world.ends(Ending.CANCELLED)
    assert world.phase == "Cancelled"


# --- deleting it ------------------------------------------------------------------------------------------------------


def test_a_deleted_run_goes_when_it_has_ended_on_databricks():
    world = running()
    world.delete()
    world.settle()
    assert world.cancelled == ["501"]
    assert not world.gone
    world.hear(Life.ENDED, Ending.CANCELLED)
    world.settle()
    assert world.gone


def test_a_run_that_is_deleted_while_it_may_be_on_its_way_is_found_and_cancelled():
    world = submitted()
    world.body["status"] = {**world.statuses[0]}
    world.restart()
    world.delete()
    world.settle()
    assert world.cancelled == ["501"]
    assert not world.gone
    world.hear(Life.ENDED, Ending.CANCELLED)
    world.settle()
    assert world.gone


@pytest.mark.parametrize("status", ["never submitted", "refused", "ended", "lost"])
def test_a_deleted_run_of_which_nothing_is_there_goes_at_once(status):
    world = RemoteWorld.of()
    if status == "refused":
        world.workspace = "refusing"
    if status == "never submitted":
        world.body["metadata"]["finalizers"] = ["mlp.dev/databricks"]
    else:
        world.settle()
    if status == "ended":
        world.hear(Life.ENDED, Ending.SUCCEEDED)
    if status == "lost":
        world.remote = replace(world.remote, gone=True)
    world.delete()
    world.settle()
    assert world.gone
    assert world.cancelled == []


def test_a_deletion_that_cannot_be_told_to_the_workspace_is_given_up_and_says_what_is_left():
    world = running()
    world.workspace = "down"
    world.delete()
    decision = world.settle()
    assert decision.again_after is not None
    assert not world.gone
    world.settle(after=1801)
    assert world.gone
    assert "Run 501" in world.gave_up[0]
    assert "cancel it there" in world.gave_up[0]


def test_a_run_of_which_nobody_knew_is_cancelled_when_it_is_deleted():
    world = running()
    world.remote = replace(world.remote, unreadable_since=world.now, trouble="nobody answers")
    world.settle(after=31)
    world.settle(after=1800)
    assert world.reason == "StatusCheckTimeout"
    world.hear(Life.RUNNING)
    world.delete()
    world.settle()
    assert world.cancelled == ["501"]
    world.hear(Life.ENDED, Ending.CANCELLED)
    world.settle()
    assert world.gone


# --- MLflow -----------------------------------------------------------------------------------------------------------


def test_mlflow_is_told_of_a_life_on_databricks():
    world = running(tracking=SERVER)
    world.ends(Ending.SUCCEEDED)
    assert world.told == ["SCHEDULED", "RUNNING", "FINISHED"]
    assert world.tags["mlflow.databricks.shellJobRunID"] == "501"
    assert world.tasks[0].assignment.run_id == "run-7"
    assert world.tasks[0].assignment.tracking_uri == SERVER["uri"]


@pytest.mark.parametrize(("ending", "told"), [(Ending.FAILED, "FAILED"), (Ending.CANCELLED, "KILLED")])
def test_mlflow_is_told_how_it_ended(ending, told):
    world = running(tracking=SERVER)
    world.ends(ending)
    assert world.told[-1] == told


def test_mlflow_is_told_that_a_deleted_run_was_killed_before_it_goes():
    world = running(tracking=SERVER)
    world.delete()
    world.settle()
    assert world.told[-1] == "RUNNING"
    world.hear(Life.ENDED, Ending.CANCELLED)
    world.settle()
    assert world.told[-1] == "KILLED"
    assert world.gone


def test_mlflow_is_told_of_another_attempt():
    world = running(tracking=SERVER, backoffLimit=1)
    world.ends(Ending.FAILED, again=True)
    world.hear(Life.RUNNING)
    world.settle()
    assert world.told[-1] == "RUNNING"


# --- after the end ----------------------------------------------------------------------------------------------------


def test_a_finished_run_is_deleted_when_its_time_is_over():
    world = running(ttlSecondsAfterFinished=60)
    world.ends(Ending.SUCCEEDED)
    assert "DeleteRun" not in world.actions
    world.settle(after=61)
    assert "DeleteRun" in world.actions
    world.settle()
    assert world.gone


def test_a_run_that_another_manages_is_not_touched():
    world = RemoteWorld.of(managedBy="example.org/other")
    world.settle()
    assert world.actions == []
    assert world.statuses == []
