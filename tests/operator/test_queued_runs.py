"""Runs in a queue: Kueue decides by the Job's spec.suspend, which is never written here then."""

from __future__ import annotations

from mlp.resources import ConditionType, names
from tests.operator.build import World, failed, pod, stored, succeeded, working


def queued(**spec):
    world = World.of(**{"queueName": "team-a", "queuePriorityClassName": "prod", **spec})
    world.settle()
    return world


def job_of(world):
    return next(each.body for each in reversed(world.acted) if type(each).__name__ == "CreateJob")


def admit(world, *, admitted=True):
    world.job["spec"]["suspend"] = not admitted


def waiting(world):
    # As the API server keeps it: suspended, as it was sent.
    world.job["spec"]["suspend"] = True
    return world


def test_a_queued_job_is_made_suspended_and_labelled():
    body = job_of(queued())
    assert body["spec"]["suspend"] is True
    assert body["metadata"]["labels"][names.QUEUE_LABEL] == "team-a"
    assert body["metadata"]["labels"][names.QUEUE_PRIORITY_LABEL] == "prod"


def test_a_run_waits_is_admitted_and_runs():
    world = waiting(queued())
    world.settle()
    assert (world.phase, world.reason) == ("Queued", "WaitingForQuota")
    assert "team-a" in world.message
    assert world.conditions()[ConditionType.ADMITTED] == "False"
    assert ConditionType.SUSPENDED not in world.conditions()
    admit(world)
    world.settle(pods=[working()])
    assert world.phase == "Running"
    assert world.conditions()[ConditionType.ADMITTED] == "True"
    world.settle(pods=[succeeded()])
    assert world.phase == "Succeeded"
    assert "SuspendJob" not in world.actions
    assert [each for each in world.events if each in ("RunQueued", "RunAdmitted")] == ["RunQueued", "RunAdmitted"]


def test_a_run_whose_quota_is_taken_waits_again():
    world = waiting(queued())
    world.settle()
    admit(world)
    world.settle(pods=[working()])
    admit(world, admitted=False)
    world.settle(pods=[pod("Running", withdrawn=True, deleting=30)])
    assert (world.phase, world.conditions()[ConditionType.ADMITTED]) == ("Queued", "False")
    admit(world)
    world.settle(pods=[working(2)])
    world.settle(pods=[succeeded(2)])
    assert world.phase == "Succeeded"
    assert world.run.status.attempts == 1


def test_the_user_holds_a_queued_run_without_touching_what_is_the_queues():
    world = waiting(queued())
    world.settle()
    admit(world)
    world.settle(pods=[working()])
    world.change(suspend=True)
    world.settle()
    assert world.phase == "Suspended"
    assert world.actions[-1] == "DeleteJob"
    world.settle(job=None, pods=[pod("Running", deleting=30)])
    assert world.phase == "Suspended"
    world.settle(pods=[])
    assert world.phase == "Suspended"
    world.change(suspend=False)
    world.settle()
    assert world.jobs_made == 2
    waiting(world)
    world.settle()
    assert world.phase == "Queued"
    admit(world)
    world.settle(pods=[succeeded(1, of="job-uid-2")])
    assert (world.phase, world.run.status.attempts) == ("Succeeded", 1)
    assert "SuspendJob" not in world.actions


def defaulted(world):
    """What Kueue makes of a Job that names no queue, where the namespace has one that is called default."""
    world.job["metadata"]["labels"][names.QUEUE_LABEL] = "default"
    world.job["spec"]["suspend"] = True
    world.settle()
    return world


def test_a_job_that_the_cluster_has_put_into_a_queue_is_the_queues():
    world = World.of()
    world.settle()
    defaulted(world)
    assert (world.phase, world.conditions()[ConditionType.ADMITTED]) == ("Queued", "False")
    assert "The queue default" in world.message
    admit(world)
    world.settle(pods=[working()])
    assert (world.phase, world.conditions()[ConditionType.ADMITTED]) == ("Running", "True")
    admit(world, admitted=False)
    world.settle(pods=[])
    assert world.phase == "Queued"
    assert "SuspendJob" not in world.actions


def test_a_run_that_the_cluster_has_put_into_a_queue_is_held_without_losing_an_attempt():
    world = World.of()
    world.settle()
    defaulted(world)
    world.change(suspend=True)
    world.settle()
    assert (world.phase, world.actions[-1]) == ("Suspended", "DeleteJob")
    world.settle(job=None)
    world.change(suspend=False)
    world.settle()
    defaulted(world)
    admit(world)
    world.settle(pods=[succeeded(1, of="job-uid-2")])
    assert (world.phase, world.run.status.attempts) == ("Succeeded", 1)
    assert "SuspendJob" not in world.actions


def test_a_run_that_is_held_and_let_go_before_anybody_has_looked_is_not_lost():
    world = waiting(queued())
    world.settle()
    world.change(suspend=True)
    world.settle()
    world.change(suspend=False)
    world.settle(job=None)
    assert world.jobs_made == 2


def test_a_run_that_waits_can_be_shut_down():
    world = waiting(queued())
    world.settle()
    world.change(shutdown="Stop")
    world.settle()
    world.settle(job=None)
    assert world.phase == "Cancelled"


def test_a_waiting_run_can_change_its_queue():
    world = waiting(queued())
    world.settle()
    world.change(queueName="team-b")
    world.settle()
    assert world.job["metadata"]["labels"][names.QUEUE_LABEL] == "team-b"
    assert "team-b" in world.message


def test_the_deadline_for_starting_runs_in_the_queue():
    world = waiting(queued(pendingDeadlineSeconds=60))
    world.settle()
    world.settle(after=60)
    assert (world.phase, world.reason) == ("Failed", "PendingDeadlineExceeded")
    assert "team-a" in world.message


def test_a_second_attempt_that_is_held_counts_once():
    world = waiting(queued(backoffLimit=1))
    world.settle()
    admit(world)
    first = failed(1, number=1)
    world.settle(pods=[first, working(2)])
    assert world.run.status.attempts == 2
    world.change(suspend=True)
    world.settle()
    world.settle(job=None, pods=[])
    world.change(suspend=False)
    world.settle()
    assert job_of(world)["spec"]["backoffLimit"] == 0
    assert stored(job_of(world))["metadata"]["annotations"]["mlp.dev/attempts-before"] == "1"
