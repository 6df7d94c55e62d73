"""What MLflow is told about a run, and what waits for it: nothing waits for ever, and nothing is forgotten."""

from __future__ import annotations

import pytest

from mlp.resources import ConditionType, names
from mlp_operator.runs.outcome import Working
from mlp_operator.runs.recording import TrackedRun
from tests.operator.build import NOW, World, failed, job, pod, stamp, succeeded, working

TRACKED = {"tracking": {"uri": "http://mlflow:5000"}}


def tracked(server="up", **spec):
    world = World.of(**TRACKED, **spec)
    world.tracking = server
    return world


def state_of(world):
    mlflow = world.run.status.mlflow
    return None if mlflow is None else mlflow.state


def condition(world):
    found = world.run.status.condition(ConditionType.TRACKED)
    return None if found is None else (found.status, found.reason)


def environment_of(world):
    main = world.acted[-1].body["spec"]["template"]["spec"]["containers"][0]
    return {each["name"]: each.get("value") for each in main["env"]}


def test_a_run_without_a_tracking_server_is_recorded_nowhere():
    world = World.of()
    world.settle()
    world.settle(pods=[succeeded()])
    assert condition(world) is None
    assert world.run.status.mlflow is None
    assert "BeginTracking" not in world.actions


def test_a_run_is_scheduled_runs_and_ends_in_mlflow_as_in_the_cluster():
    world = tracked()
    world.settle()
    assert world.actions == ["Resolve", "BeginTracking", "CreateJob"]
    assert environment_of(world)["MLFLOW_RUN_ID"] == "run-7"
    world.settle(pods=[pod(held=True)])
    world.settle(pods=[working(held=True)])
    assert (state_of(world), condition(world)) == ("RUNNING", ("True", "Recorded"))
    world.settle(pods=[succeeded(held=True)])
    assert world.told == ["SCHEDULED", "RUNNING", "FINISHED"]
    assert (world.phase, state_of(world), condition(world)) == ("Succeeded", "FINISHED", ("True", "Recorded"))
    assert names.TRACKING_FINALIZER not in world.pods[0]["metadata"]["finalizers"]


def test_the_end_is_written_in_mlflow_before_it_is_reported():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    before = len(world.statuses)
    world.settle(pods=[succeeded(held=True)])
    assert len(world.statuses) == before + 1
    assert world.statuses[-1]["mlflow"]["state"] == "FINISHED"


def test_a_failure_takes_its_reason_along_but_not_its_log():
    world = tracked()
    world.settle()
    world.settle(
        pods=[failed(3, "the end of the log", held=True)], job=job(world.run, condition=("Failed", "PodFailurePolicy"))
    )
    assert world.told[-1] == "FAILED"
    assert world.tags["mlp.reason"] == "EntryPointFailed"
    assert "exit code 3" in world.tags["mlp.message"]
    assert "the end of the log" not in world.tags["mlp.message"]


def test_a_retry_opens_the_run_again():
    world = tracked(backoffLimit=1)
    world.settle()
    world.settle(pods=[working(1, held=True)])
    world.settle(pods=[failed(1, number=1, held=True)])
    assert state_of(world) == "SCHEDULED"
    first = world.pods[0]
    assert names.TRACKING_FINALIZER in first["metadata"]["finalizers"]  # nobody else would close the run by now
    world.settle(pods=[first, working(2, held=True)])
    assert names.TRACKING_FINALIZER not in first["metadata"]["finalizers"]
    world.settle(pods=[first, succeeded(2, held=True)])
    assert world.told == ["SCHEDULED", "RUNNING", "SCHEDULED", "RUNNING", "FINISHED"]


def test_a_shut_down_run_is_killed_when_no_pod_is_left():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.change(shutdown="Stop")
    world.settle()
    assert world.told[-1] == "RUNNING"
    world.settle(job=None, pods=[])
    assert (world.phase, world.told[-1]) == ("Cancelled", "KILLED")
    assert world.tags["mlp.reason"] == "Cancelled"


def test_a_deleted_pod_whose_containers_are_gone_does_not_stay():
    world = tracked()
    world.settle()
    world.settle(pods=[pod("Failed", deleting=0, withdrawn=True, held=True)])
    assert world.pods == []


def test_a_deleted_pod_whose_containers_run_is_not_let_go():
    world = tracked()
    world.settle()
    world.settle(pods=[working(deleting=30, held=True)])
    assert len(world.pods) == 1
    assert names.TRACKING_FINALIZER in world.pods[0]["metadata"]["finalizers"]


def test_a_suspended_run_is_not_running_in_mlflow():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.change(suspend=True)
    world.settle()
    world.settle(pods=[])
    assert (world.phase, state_of(world)) == ("Suspended", "SCHEDULED")


def test_a_server_that_is_away_at_the_start_holds_nothing_back_and_hears_of_it_later():
    world = tracked("down")
    world.settle()
    assert world.actions == ["Resolve", "BeginTracking", "CreateJob"]
    assert "MLFLOW_RUN_ID" not in environment_of(world)
    assert environment_of(world)["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert condition(world) == ("False", "TrackingUnavailable")
    decision = world.settle(pods=[working()])
    assert decision.again_after == 30
    assert (world.phase, condition(world)) == ("Running", ("False", "TrackingUnavailable"))
    world.tracking = "up"
    world.settle(after=30)
    assert (state_of(world), condition(world)) == ("RUNNING", ("True", "Recorded"))
    assert world.told == ["SCHEDULED", "RUNNING"]


def test_a_server_that_is_away_at_the_end_hears_of_it_later():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.tracking = "down"
    decision = world.settle(pods=[succeeded(held=True)])
    assert (world.phase, condition(world)) == ("Succeeded", ("False", "TrackingUnavailable"))
    assert decision.again_after == 30
    assert names.TRACKING_FINALIZER in world.pods[0]["metadata"]["finalizers"]
    world.tracking = "up"
    world.restart()
    world.settle(after=30)
    assert (state_of(world), condition(world)) == ("FINISHED", ("True", "Recorded"))
    assert names.TRACKING_FINALIZER not in world.pods[0]["metadata"]["finalizers"]


def test_pods_do_not_wait_for_ever_for_a_server_that_does_not_come_back():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.tracking = "down"
    world.settle(pods=[succeeded(held=True)])
    world.settle(after=700)
    assert names.TRACKING_FINALIZER not in world.pods[0]["metadata"]["finalizers"]
    assert condition(world) == ("False", "TrackingUnavailable")


def test_a_run_is_not_deleted_by_its_ttl_before_mlflow_knows_its_end():
    world = tracked(ttlSecondsAfterFinished=0)
    world.settle()
    world.tracking = "down"
    world.settle(pods=[succeeded(held=True)])
    assert "DeleteRun" not in world.actions
    world.tracking = "up"
    world.settle(after=30)
    assert world.actions[-1] == "DeleteRun"


def test_a_run_is_not_deleted_by_its_ttl_while_mlflow_is_being_told_its_end():
    world = tracked(ttlSecondsAfterFinished=0)
    world.settle()
    world.tracking = "slow"
    world.settle(pods=[succeeded(held=True)])
    world.settle(after=5)
    assert world.phase == "Succeeded"
    world.restart()
    world.settle()
    assert isinstance(world.recording, Working)
    assert "DeleteRun" not in world.actions
    world.recording = TrackedRun("http://mlflow:5000", "7", "run-7", "FINISHED")
    world.settle()
    assert world.actions[-1] == "DeleteRun"


def test_a_slow_server_is_waited_for_a_few_seconds_and_no_longer():
    world = tracked("slow")
    decision = world.settle()
    assert decision.again_after == 15
    assert world.jobs_made == 0
    world.settle(after=15)
    assert world.jobs_made == 1
    assert condition(world) == ("Unknown", "Pending")


def test_a_run_that_is_shut_down_while_its_record_begins_leaves_none_that_waits():
    world = tracked("slow")
    world.settle()
    world.change(shutdown="Stop")
    world.settle(after=5)
    assert (world.phase, condition(world)) == ("Cancelled", ("Unknown", "Pending"))
    world.tracking = "up"
    world.recording = TrackedRun("http://mlflow:5000", "7", "run-7", "SCHEDULED")
    world.settle()
    assert (world.told, state_of(world), condition(world)) == (["KILLED"], "KILLED", ("True", "Recorded"))


def test_wrong_credentials_end_a_run_before_its_pod():
    world = tracked("denying")
    world.settle()
    assert (world.phase, world.reason, world.message) == ("Failed", "TrackingDenied", "wrong password")
    assert world.jobs_made == 0
    assert condition(world) == ("False", "TrackingDenied")


def test_credentials_that_expire_later_do_not_end_a_run():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.tracking = "denying"
    world.settle(pods=[succeeded(held=True)])
    assert (world.phase, condition(world)) == ("Succeeded", ("False", "TrackingDenied"))
    assert names.TRACKING_FINALIZER not in world.pods[0]["metadata"]["finalizers"]


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "after a while"])
def test_a_run_that_is_being_deleted_is_killed_in_mlflow_and_its_pods_let_go(at_once):
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.tracking = "up" if at_once else "down"
    world.body["metadata"] |= {"deletionTimestamp": stamp(), "finalizers": ["foregroundDeletion"]}
    world.settle(pods=[pod("Failed", deleting=0, withdrawn=True, held=True)])
    if not at_once:
        assert len(world.pods) == 1
        world.tracking = "up"
        world.settle(after=30)
    assert world.told[-1] == "KILLED"
    assert world.pods == []


def test_a_finished_run_that_is_deleted_keeps_its_state():
    world = tracked()
    world.settle()
    world.settle(pods=[succeeded(held=True)])
    told = list(world.told)
    world.body["metadata"] |= {"deletionTimestamp": stamp(), "finalizers": ["foregroundDeletion"]}
    world.settle()
    assert world.told == told


def test_another_process_finds_the_run_again_by_asking():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.restart()
    world.settle(pods=[succeeded(held=True)])
    assert world.told == ["SCHEDULED", "RUNNING", "FINISHED"]
    assert world.now == NOW


def test_what_was_begun_at_one_server_ends_there_though_the_operators_own_has_changed():
    world = tracked()
    world.settle()
    world.settle(pods=[working(held=True)])
    world.body["spec"]["tracking"] = {"uri": "http://elsewhere:5000"}
    world.settle(pods=[succeeded(held=True)])
    assert world.acted[-2].server.uri == "http://mlflow:5000"
    assert world.run.status.mlflow.uri == "http://mlflow:5000"
