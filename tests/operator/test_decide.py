"""What the operator does about a run: the state table, the ways out of the ordinary, and a whole life."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mlp.resources import ConditionType, ProjectRun
from mlp.resources.plan import PlannedEnvironment
from mlp_operator.runs.actions import Decision, Refusal
from mlp_operator.runs.decide import decide
from mlp_operator.runs.outcome import Refused, Unavailable, Working
from mlp_operator.runs.planning import Resolved
from tests.operator import build
from tests.operator.build import (
    DISRUPTED,
    FETCHED,
    NOW,
    RULES,
    World,
    at,
    ended,
    failed,
    job,
    plan,
    pod,
    report,
    resolved,
    running,
    succeeded,
    waiting,
    working,
)
from tests.operator.kstatus import kstatus

UNSCHEDULABLE = {"PodScheduled": ("False", "Unschedulable", "0/3 nodes are available.")}
NO_VOLUME = {"PodScheduled": ("False", "Unschedulable", 'persistentvolumeclaim "data" not found')}


def submitted(*pods, of=None, **spec):
    """A run whose Job is there, with these pods."""
    world = World.of(**spec)
    world.settle()
    assert world.job is not None
    world.settle(pods=pods)
    if of is not None:
        world.settle(job=of)
    return world


def looked_up(outcome, **spec):
    world = World.of(outcome=outcome, **spec)
    world.settle()
    return world


def suspended_from_the_start():
    world = World.of(suspend=True)
    world.settle()
    return world


def hindered(**by):
    world = World.of()
    world.hindrance = by
    world.settle()
    return world


def cancelled():
    world = submitted(working())
    world.change(shutdown="Stop")
    world.settle()
    world.settle(job=None, pods=[])
    return world


def deleted_under_it(*pods, **spec):
    world = submitted(working(), **spec)
    world.settle(job=None, pods=pods)
    return world


def too_late():
    world = submitted(pod(conditions=UNSCHEDULABLE), pendingDeadlineSeconds=60)
    world.settle(after=60)
    return world


def ran_too_long():
    world = submitted(working())
    world.settle(job=job(condition=("FailureTarget", "DeadlineExceeded")), pods=[failed(143, deleting=30)])
    return world


def slow():
    return Working(at(-60))


def refused(reason):
    return Refused(reason, "what is wrong and the way out")


# The state table: a world -> Ready, Reconciling, Stalled, Succeeded, reason, phase, kstatus. A dash: not there.
ROWS = {
    "resolving, slowly": (lambda: looked_up(slow()), "False True - Unknown Resolving Resolving InProgress"),
    "git unreachable": (
        lambda: looked_up(Unavailable("SourceUnavailable", "no route", at(2))),
        "False True - Unknown SourceUnavailable Resolving InProgress",
    ),
    **{
        f"bad spec: {reason}": (
            lambda reason=reason: looked_up(refused(reason)),
            f"False - True False {reason} Failed Failed",
        )
        for reason in (
            "EntryPointNotFound",
            "ParameterMissing",
            "ParameterInvalid",
            "ProjectInvalid",
            "SourceNotFound",
            "SourceInvalid",
            "AuthenticationFailed",
            "FieldNotSupported",
            "InvalidSpec",
        )
    },
    "user suspend": (suspended_from_the_start, "False - - Unknown Suspended Suspended InProgress"),
    "Job refused for good": (
        lambda: hindered(refusal=Refusal(final=True, message="no")),
        "False - True False JobRefused Failed Failed",
    ),
    "Job refused for now": (
        lambda: hindered(refusal=Refusal(final=False, message="quota")),
        "False True - Unknown JobRefused Pending InProgress",
    ),
    "a foreign Job": (
        lambda: hindered(foreign_job={"metadata": {"name": "wine"}}),
        "False True - Unknown JobConflict Pending InProgress",
    ),
    "submitted": (submitted, "False True - Unknown Submitted Preparing InProgress"),
    "unschedulable": (
        lambda: submitted(pod(conditions=UNSCHEDULABLE)),
        "False True - Unknown Unschedulable Preparing InProgress",
    ),
    "image pull": (
        lambda: submitted(pod(init=FETCHED, main=waiting("ErrImagePull", "no"))),
        "False True - Unknown ImagePullBackOff Preparing InProgress",
    ),
    "volume": (
        lambda: submitted(pod(conditions=NO_VOLUME)),
        "False True - Unknown VolumePending Preparing InProgress",
    ),
    "init steps, slow": (
        lambda: submitted(pod(init=running(-20))),
        "False True - Unknown Fetching Preparing InProgress",
    ),
    "main running": (lambda: submitted(working()), "False True - Unknown Running Running InProgress"),
    "done": (lambda: submitted(succeeded()), "True - - True Succeeded Succeeded Current"),
    "command failed": (lambda: submitted(failed(3)), "False - True False EntryPointFailed Failed Failed"),
    "retry": (lambda: submitted(failed(3), backoffLimit=1), "False True - Unknown Retrying Pending InProgress"),
    "retries used up": (
        lambda: submitted(failed(3), failed(3, number=2), backoffLimit=1),
        "False - True False BackoffLimitExceeded Failed Failed",
    ),
    "out of memory": (
        lambda: submitted(failed(137, why="OOMKilled")),
        "False - True False OOMKilled Failed Failed",
    ),
    "evicted": (lambda: submitted(pod("Failed", reason="Evicted")), "False - True False Evicted Failed Failed"),
    "node lost": (lambda: submitted(pod("Failed", reason="NodeLost")), "False - True False NodeLost Failed Failed"),
    "a step failed": (
        lambda: submitted(pod("Failed", init=ended(66, report("SourceNotFound", "gone")))),
        "False - True False SourceNotFound Failed Failed",
    ),
    "deadline": (ran_too_long, "False - True False DeadlineExceeded Failed Failed"),
    "deadline, and no pod left": (
        lambda: submitted(of=job(condition=("FailureTarget", "DeadlineExceeded"))),
        "False - True False DeadlineExceeded Failed Failed",
    ),
    "pending deadline": (
        too_late,
        "False - True False PendingDeadlineExceeded Failed Failed",
    ),
    "shutdown": (cancelled, "False - True False Cancelled Cancelled Failed"),
    "Job deleted, attempts left, pods still there": (
        lambda: deleted_under_it(working(), backoffLimit=1),
        "False True - Unknown JobDeleted Pending InProgress",
    ),
    "Job deleted, no attempt left": (deleted_under_it, "False - True False JobDeleted Failed Failed"),
}


@pytest.mark.parametrize(("make", "row"), ROWS.values(), ids=ROWS)
def test_the_state_table(make, row):
    world = make()
    conditions = world.conditions()
    three = [conditions.get(kind, "-") for kind in ("Ready", "Reconciling", "Stalled", "Succeeded")]
    assert " ".join([*three, world.reason, world.phase, kstatus(world.body)]) == row
    generation = world.body["metadata"]["generation"]
    assert {each.observed_generation for each in world.run.status.conditions} == {generation}


@pytest.mark.parametrize(("make", "row"), ROWS.values(), ids=ROWS)
def test_a_decision_that_came_true_asks_for_nothing_more(make, row):
    world = make()
    writes, actions = len(world.statuses), len(world.acted)
    world.settle(after=0.5)
    assert len(world.statuses) == writes, row
    # A Job that is not taken is sent again; how often, the controller says.
    assert world.actions[actions:] == (["CreateJob"] if world.hindrance and world.phase == "Pending" else [])


@pytest.mark.parametrize(("make", "row"), ROWS.values(), ids=ROWS)
def test_the_same_arguments_give_the_same_decision(make, row):
    world = make()
    assert world.decide() == world.decide(), row


@pytest.mark.parametrize(("make", "row"), ROWS.values(), ids=ROWS)
def test_a_message_says_something_and_is_of_bearable_length(make, row):
    for condition in make().run.status.conditions:
        assert condition.message, row
        assert len(condition.message.encode()) <= 4096


def test_an_untouched_run_is_in_progress_for_gitops_tools():
    assert kstatus(World.of().body) == "InProgress"


# --- a whole life ---------------------------------------------------------------------------------------------------

LIFE = {
    "no pod yet": [],
    "created": [pod()],
    "scheduled": [pod(conditions={"PodScheduled": "True"})],
    "init is created": [pod(init=waiting())],
    "init runs": [pod(init=running())],
    "init is done": [pod(init=FETCHED)],
    "main is created": [pod(init=FETCHED, main=waiting("ContainerCreating"))],
    "main runs": [working()],
    "main has ended": [succeeded()],
}


def test_a_quick_life_costs_three_statuses_and_one_job():
    world = World.of()
    for pods in LIFE.values():
        world.settle(pods=pods, after=0.3)
    world.settle(job=job(condition=("Complete", "CompletionsReached")), after=1)
    assert [status["phase"] for status in world.statuses] == ["Preparing", "Running", "Succeeded"]
    assert world.actions == ["Resolve", "CreateJob"]
    assert len(world.statuses) + world.jobs_made <= 4
    assert world.events == ["ProjectResolved", "JobCreated", "RunStarted", "RunSucceeded"]


def test_a_life_with_slow_cloning_costs_one_status_more():
    world = World.of()
    for pods in LIFE.values():
        world.settle(pods=pods, after=0.3)
        if pods and pods[0] is LIFE["init runs"][0]:
            waited = world.decide().again_after
            assert waited == pytest.approx((at(15) - world.now).total_seconds())
            world.settle(after=waited)
            assert world.reason == "Fetching"
    assert [status["phase"] for status in world.statuses] == ["Preparing", "Preparing", "Running", "Succeeded"]


def test_each_stage_that_takes_long_is_told():
    environment = PlannedEnvironment(kind="python", file="python_env.yaml")
    world = World.of(outcome=Resolved(replace(plan(credentials=True), environment=environment)))

    def in_container(name, since):
        found = pod(init=running(since))
        found["status"]["initContainerStatuses"][0]["name"] = name
        return [found]

    world.settle(pods=in_container("fetch", 0))
    world.settle(after=16)
    assert world.reason == "Fetching"
    world.settle(pods=in_container("environment", 16), after=1)
    assert world.reason == "Fetching"
    waited = world.decide().again_after
    assert waited == pytest.approx((at(16 + 15) - world.now).total_seconds())
    world.settle(after=waited)
    assert world.reason == "BuildingEnvironment"
    writes = len(world.statuses)
    world.settle(after=60)
    assert len(world.statuses) == writes


@pytest.mark.parametrize("moment", LIFE)
def test_a_restart_at_any_moment_changes_nothing(moment):
    world = World.of()
    for name, pods in LIFE.items():
        world.settle(pods=pods, after=0.3)
        if name == moment:
            world.restart()
    assert world.jobs_made == 1
    assert (world.phase, len(world.statuses)) == ("Succeeded", 3)
    assert "Resolve" not in world.actions[2:], "the Job carries the plan: Git is not asked again"


@pytest.mark.parametrize("lost", ["the status", "the Job's creation"])
def test_a_restart_between_two_writes_makes_no_second_job(lost):
    world = World.of()
    world.settle()
    if lost == "the status":
        world.body["status"] = {"observedGeneration": -1}
    world.restart()
    world.settle(pods=[succeeded()])
    assert (world.jobs_made, world.phase) == (1, "Succeeded")
    assert world.run.status.source.commit == resolved().plan.source.commit


def test_events_that_were_missed_make_no_difference():
    world = World.of()
    world.settle()
    world.settle(pods=[succeeded()])
    assert world.events == ["ProjectResolved", "JobCreated", "RunSucceeded"]
    assert world.conditions()["Initialized"] == "True"


def test_a_finished_run_is_not_written_again_whatever_happens_to_its_job():
    world = submitted(succeeded())
    writes = len(world.statuses)
    for of, pods in [(world.job, [failed()]), (job(condition=("Failed", "X")), []), (None, [])]:
        world.restart()
        assert world.settle(job=of, pods=pods) == Decision()
    assert (len(world.statuses), world.phase) == (writes, "Succeeded")


def test_times_are_those_of_the_last_change_of_status():
    world = submitted()
    first = {each.type: each.last_transition_time for each in world.run.status.conditions}
    world.settle(pods=[working()], after=30)
    second = {each.type: each.last_transition_time for each in world.run.status.conditions}
    world.settle(pods=[succeeded()], after=30)
    third = {each.type: each.last_transition_time for each in world.run.status.conditions}
    assert second == first | {"Initialized": at(30)}
    assert third == {
        "Succeeded": at(60),
        "Ready": at(60),
        "Resolved": at(0),
        "Submitted": at(0),
        "Initialized": at(30),
    }


def test_start_and_end_are_the_jobs_and_the_commands():
    world = submitted(succeeded())
    assert (world.run.status.start_time, world.run.status.completion_time) == (at(0), at(5))


def test_an_unresolved_failure_ends_when_it_is_found():
    world = looked_up(refused("SourceNotFound"))
    assert world.run.status.completion_time == NOW
    assert world.run.status.start_time is None


# --- not ours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observed", ["no Job", "a Job"])
def test_a_run_that_another_manages_is_not_touched(observed):
    world = World.of(managedBy="kueue.x-k8s.io/multikueue")
    world.job = job() if observed == "a Job" else None
    world.pods = [failed()] if observed == "a Job" else []
    assert world.settle() == Decision()


def test_a_run_that_names_us_as_its_manager_is_ours():
    world = World.of(managedBy="mlp.dev/operator")
    world.settle()
    assert world.jobs_made == 1


@pytest.mark.parametrize("pods", [[], [working()], [failed()]])
def test_a_run_that_is_being_deleted_is_left_to_the_garbage_collector(pods):
    world = submitted(*pods[:0])
    world.body["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    world.pods = pods
    assert world.settle() == Decision()
    world.job = None
    assert world.settle() == Decision()


# --- the look-up ----------------------------------------------------------------------------------------------------


def test_a_look_up_that_is_quick_is_not_told():
    world = World.of()
    world.outcome = None
    decision = world.settle()
    assert (world.statuses, world.actions) == ([], ["Resolve"])
    assert decision.again_after == 15
    world.settle(after=15)
    assert world.reason == "Resolving"


def test_an_unavailable_source_is_asked_again_at_its_time():
    world = World.of(outcome=Unavailable("SourceUnavailable", "no route to host", at(4)))
    assert world.settle().again_after == 4
    assert "no route to host" in world.message
    assert world.actions == ["Resolve"]
    world.now = at(4)
    world.outcome = Unavailable("SourceUnavailable", "no route to host", at(4))
    decision = world.decide()
    assert [type(action).__name__ for action in decision.actions] == ["Resolve"]


def test_a_server_that_hangs_each_time_is_told_once():
    world = looked_up(Unavailable("SourceUnavailable", "too slow", at(2)))
    for attempt in range(1, 4):
        world.now = at(100 * attempt)
        world.outcome = Working(at(100 * attempt - 60))
        world.settle()
        world.outcome = Unavailable("SourceUnavailable", "too slow", world.now + timedelta(seconds=9))
        world.settle()
    assert (len(world.statuses), world.reason) == (1, "SourceUnavailable")


def test_a_source_that_comes_back_is_used():
    world = looked_up(Unavailable("SourceUnavailable", "no route", at(2)))
    world.outcome = resolved()
    world.settle()
    assert (world.jobs_made, world.phase) == (1, "Preparing")


# --- the Job is not taken -------------------------------------------------------------------------------------------


def test_a_job_that_is_refused_for_now_is_sent_again_without_another_status():
    world = hindered(refusal=Refusal(final=False, message='exceeded quota: pods "2"'))
    assert "exceeded quota" in world.message
    assert world.run.status.source.commit
    world.settle(after=15)
    assert (world.actions, len(world.statuses)) == (["Resolve", "CreateJob", "CreateJob"], 1)
    world.hindrance = {}
    world.settle(after=15)
    assert world.phase == "Preparing"


def test_a_refused_job_is_waited_for_in_seconds():
    world = World.of()
    world.asked = True
    waits = {}
    for name, hindrance in {
        "refused": {"refusal": Refusal(final=False, message="no")},
        "foreign": {"foreign_job": {"metadata": {}}},
    }.items():
        waits[name] = world.decide(**hindrance).again_after
    assert waits == {"refused": 15, "foreign": 5}


def test_a_foreign_job_is_never_deleted_and_the_run_goes_on_without_it():
    world = hindered(foreign_job={"metadata": {"name": "wine", "uid": "other"}})
    assert "A Job named wine" in world.message
    world.hindrance = {}
    world.settle(after=5)
    assert (world.jobs_made, world.phase) == (1, "Preparing")
    assert "DeleteJob" not in world.actions


@pytest.mark.parametrize("plan", [None, "{", '{"source": {}}'])
def test_a_job_without_a_readable_plan_was_not_made_by_us(plan):
    of = job()
    annotations = of["spec"]["template"]["metadata"]["annotations"]
    if plan is None:
        annotations.clear()
    else:
        annotations["mlp.dev/plan"] = plan
    world = World.of()
    world.settle(job=of)
    assert (world.phase, world.reason) == ("Failed", "JobConflict")


# --- suspend --------------------------------------------------------------------------------------------------------


def test_a_run_that_is_suspended_from_the_start_asks_for_nothing():
    world = suspended_from_the_start()
    assert (world.acted, world.conditions()["Suspended"]) == ([], "True")
    world.change(suspend=False)
    world.settle()
    assert world.jobs_made == 1
    assert world.conditions()["Suspended"] == "False"
    assert world.events == ["RunSuspended", "ProjectResolved", "JobCreated", "RunResumed"]


ENDING = {
    "still there": working(deleting=30, withdrawn=True),
    "ended by SIGTERM": failed(143, deleting=30, withdrawn=True),
}


@pytest.mark.parametrize("ending", ENDING.values(), ids=ENDING)
def test_suspending_a_running_run_is_not_its_failure(ending):
    world = submitted(working())
    world.change(suspend=True)
    world.settle()
    assert (world.actions[-1], world.job["spec"]["suspend"], world.phase) == ("SuspendJob", True, "Suspended")
    for pods in ([ending], []):
        world.settle(pods=pods, after=1)
        assert world.phase == "Suspended"
    world.change(suspend=False)
    world.settle(pods=[ending])
    assert (world.job["spec"]["suspend"], world.phase) == (False, "Preparing")
    world.settle(pods=[working(2)])
    assert (world.phase, world.run.status.attempts) == ("Running", 1)
    assert world.events[-4:] == ["RunStarted", "RunSuspended", "RunResumed", "RunStarted"]


def test_an_overlay_that_takes_a_variable_of_the_operators_settings_ends_the_run(monkeypatch):
    rules = replace(
        RULES, defaults=replace(RULES.defaults, step_variables=(("UV_DEFAULT_INDEX", "https://pypi.ours"),))
    )
    monkeypatch.setattr(build, "RULES", rules)
    own = {"name": "prepare", "env": [{"name": "UV_DEFAULT_INDEX", "value": "https://pypi.mine"}]}
    world = World.of(backend={"kubernetes": {"podTemplate": {"spec": {"initContainers": [own]}}}})
    world.settle()
    assert (world.phase, world.reason, world.jobs_made) == ("Failed", "InvalidSpec", 0)
    assert "env[UV_DEFAULT_INDEX]" in world.message


def test_a_job_that_another_suspended_is_let_go_on():
    world = submitted()
    world.job["spec"]["suspend"] = True
    world.settle()
    assert world.actions[-1] == "SuspendJob"
    assert not world.job["spec"]["suspend"]


def test_a_command_that_ends_before_its_suspension_has_ended():
    world = submitted(working())
    world.change(suspend=True)
    world.settle(pods=[succeeded()])
    assert (world.phase, world.actions) == ("Succeeded", ["Resolve", "CreateJob"])


# --- shutdown -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["Stop", "Terminate"])
@pytest.mark.parametrize("outcome", [None, Working(NOW), Unavailable("SourceUnavailable", "no", at(9))])
def test_a_run_without_a_job_is_cancelled_at_once(how, outcome):
    world = World.of(shutdown=how)
    world.outcome = outcome
    world.settle()
    assert (world.phase, world.acted, world.events) == ("Cancelled", [], ["RunCancelled"])


RUNS = {
    "no pod": [],
    "waiting": [pod(conditions=UNSCHEDULABLE)],
    "fetching": [pod(init=running())],
    "running": [working()],
}


@pytest.mark.parametrize("how", ["Stop", "Terminate"])
@pytest.mark.parametrize("pods", RUNS.values(), ids=RUNS)
def test_a_run_is_cancelled_when_no_pod_of_it_is_left(how, pods):
    world = submitted(*pods)
    writes = len(world.statuses)
    world.change(shutdown=how)
    world.settle()
    assert world.actions[2:] == ["DeleteJob", *(["DeletePods"] if how == "Terminate" and pods else [])]
    world.settle(pods=[failed(143, deleting=30)], after=1)  # SIGTERM's doing
    world.settle(job=None, after=1)  # gone, its pod not yet
    assert len(world.statuses) == writes, "nothing is said before the end"
    world.settle(pods=[], after=1)
    assert world.phase == "Cancelled"
    assert world.events[-1] == "RunCancelled"
    assert "RunFailed" not in world.events
    assert all(step.state in ("Succeeded", "Failed", "Skipped") for step in world.run.status.steps or ())


def test_terminate_shortens_a_stop_and_does_not_repeat_itself():
    world = submitted(working())
    world.change(shutdown="Stop")
    world.settle(pods=[working(deleting=30)])
    world.change(shutdown="Terminate")
    world.settle(after=1)
    assert world.actions[2:] == ["DeleteJob", "DeletePods"]
    world.settle(pods=[working(deleting=0)])
    assert world.actions[2:] == ["DeleteJob", "DeletePods"]


def test_a_suspended_run_can_be_cancelled():
    world = suspended_from_the_start()
    world.change(shutdown="Stop")
    world.settle()
    assert (world.phase, world.events) == ("Cancelled", ["RunSuspended", "RunCancelled"])


@pytest.mark.parametrize(("pods", "phase"), [([succeeded()], "Succeeded"), ([failed()], "Failed")])
def test_what_has_ended_by_itself_was_not_cancelled(pods, phase):
    world = submitted(working())
    world.change(shutdown="Stop")
    world.settle(pods=pods)
    assert (world.phase, "DeleteJob" in world.actions) == (phase, False)


def test_success_wins_over_a_deletion_that_comes_too_late():
    world = submitted(working())
    world.change(shutdown="Stop")
    world.settle()
    world.settle(pods=[succeeded(deleting=30)])
    assert world.phase == "Succeeded"


def test_a_job_that_turns_up_after_its_run_was_cancelled_is_deleted():
    world = World.of(shutdown="Stop")
    world.settle()
    world.settle(job=job())
    assert (world.phase, world.actions) == ("Cancelled", ["DeleteJob"])


# --- the Job is deleted by somebody ---------------------------------------------------------------------------------


def test_a_deleted_job_is_made_again_while_attempts_are_left():
    world = submitted(working(), backoffLimit=2)
    world.settle(job=None, pods=[working(deleting=30)])
    assert (world.reason, world.jobs_made) == ("JobDeleted", 1)
    world.settle(pods=[])
    assert (world.jobs_made, world.phase) == (2, "Preparing")
    assert world.job["spec"]["backoffLimit"] == 1
    world.settle(pods=[working(of="job-uid-2", number=2)])
    assert (world.phase, world.run.status.attempts) == ("Running", 2)
    assert world.events[2:] == ["RunStarted", "JobDeleted", "JobCreated", "RunStarted"]


def test_a_deleted_job_whose_pods_are_gone_is_told_as_well():
    world = submitted(working(), backoffLimit=1)
    world.settle(job=None, pods=[])
    assert (world.jobs_made, world.phase) == (2, "Preparing")
    assert world.events[2:] == ["RunStarted", "JobDeleted", "JobCreated"]


def test_attempts_end_also_over_several_jobs():
    world = submitted(working(), backoffLimit=1)
    world.settle(job=None, pods=[])
    world.settle(pods=[working(of="job-uid-2", number=2)])
    world.settle(job=None, pods=[])
    assert (world.phase, world.reason, world.jobs_made) == ("Failed", "JobDeleted", 2)
    assert "create a new projectrun" in world.message.lower()
    assert all(step.state in ("Succeeded", "Failed", "Skipped") for step in world.run.status.steps)


def test_a_deleted_job_is_made_again_from_the_same_commit_after_a_restart():
    world = submitted(working(), backoffLimit=1)
    world.restart()
    world.settle(job=None, pods=[])
    assert world.actions[-2:] == ["Resolve", "CreateJob"]
    assert world.run.status.attempts == 1


def test_while_a_deleted_job_is_still_there_its_pods_say_nothing():
    world = submitted(working(), backoffLimit=1)
    writes = len(world.statuses)
    world.settle(job=job(world.run, deleting=True), pods=[failed(143, deleting=30)])
    assert len(world.statuses) == writes


# --- deadlines ------------------------------------------------------------------------------------------------------


def test_the_pending_deadline_counts_from_creation_and_is_waited_for():
    world = submitted(pod(conditions=UNSCHEDULABLE), pendingDeadlineSeconds=100)
    assert world.settle().again_after == 90
    world.settle(after=90)
    assert world.reason == "PendingDeadlineExceeded"
    assert "No node takes the pod" in world.message
    assert world.actions[-1] == "DeleteJob"
    assert world.events[-1] == "DeadlineExceeded"


@pytest.mark.parametrize("outcome", [Working(NOW), Unavailable("SourceUnavailable", "no route", at(1000))])
def test_the_pending_deadline_also_ends_a_look_up(outcome):
    world = World.of(outcome=outcome, pendingDeadlineSeconds=14)
    assert world.settle().again_after == 4
    world.settle(after=4)
    assert (world.reason, world.events) == ("PendingDeadlineExceeded", ["DeadlineExceeded"])


STARTED_ONCE = {
    "preempted": ([failed(143, conditions=DISRUPTED)], "Pending"),
    "preempted, its successor waits": ([failed(143, conditions=DISRUPTED), pod(number=2)], "Preparing"),
    "preempted, and the old pod gone": ([pod(number=2)], "Preparing"),
}


@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize(("pods", "phase"), STARTED_ONCE.values(), ids=STARTED_ONCE)
def test_a_command_that_has_started_meets_the_pending_deadline_for_good(pods, phase, restarted):
    world = submitted(working(), pendingDeadlineSeconds=60)
    if restarted:
        world.restart()
    decision = world.settle(pods=pods, after=7200)
    # A pod that has not begun is asked now and then what it waits for.
    assert (world.phase, decision.again_after) == (phase, 12.0 if phase == "Preparing" else None)


def test_a_deleted_job_of_a_command_that_had_started_is_not_too_late():
    world = submitted(working(), pendingDeadlineSeconds=60, backoffLimit=1)
    world.settle(job=None, pods=[], after=7200)
    assert (world.phase, world.jobs_made) == ("Preparing", 2)


def test_a_suspended_run_does_not_miss_its_pending_deadline():
    world = submitted(working(), pendingDeadlineSeconds=60)
    world.change(suspend=True)
    world.settle()
    decision = world.settle(pods=[], after=7200)
    assert (world.phase, decision.again_after) == ("Suspended", None)


def test_a_run_without_a_pending_deadline_waits_for_ever():
    world = submitted(pod(conditions=UNSCHEDULABLE))
    assert world.settle(after=10_000_000).again_after is None
    assert world.reason == "Unschedulable"


# --- what is written ------------------------------------------------------------------------------------------------


def test_kubelets_words_for_one_failing_pull_are_written_once():
    world = submitted(pod(init=FETCHED, main=waiting("ErrImagePull", "manifest unknown")))
    writes = len(world.statuses)
    for why, text in [("ImagePullBackOff", "Back-off pulling"), ("ErrImagePull", "manifest unknown")] * 3:
        world.settle(pods=[pod(init=FETCHED, main=waiting(why, text))], after=20)
    assert len(world.statuses) == writes
    assert "manifest unknown" in world.message


def test_a_cured_pull_is_told():
    world = submitted(pod(init=waiting("ErrImagePull", "no")))
    world.settle(pods=[pod(init=running())])
    assert world.reason == "Fetching"


def test_a_change_of_the_spec_is_acknowledged():
    world = submitted(pod())
    world.change(ttlSecondsAfterFinished=60)
    assert kstatus(world.body) == "InProgress"
    world.settle()
    assert world.run.status.observed_generation == 2


def test_the_job_and_the_pod_are_named():
    found = submitted(working()).run.status.kubernetes
    assert (found.job_name, found.job_uid, found.pod_name, found.node_name) == ("wine", "job-uid", "wine-1", "node-1")


def test_a_message_of_any_length_can_be_written():
    world = looked_up(Refused("ParameterInvalid", "x" * 100_000))
    assert len(world.message.encode()) == 4096
    assert world.message.endswith("…")


def test_a_file_name_that_is_no_text_can_be_told():
    world = looked_up(Refused("EntryPointNotFound", "did you mean \udcff.py?"))
    assert world.message == "did you mean ?.py?"


# --- the end --------------------------------------------------------------------------------------------------------

ENDS = {"Succeeded": (succeeded(), "Success"), "Failed": (failed(), "Failure")}


@pytest.mark.parametrize(("end", "name"), ENDS.values(), ids=ENDS)
def test_a_job_is_kept_as_long_as_retention_says(end, name):
    world = submitted(end, retention={f"jobSecondsAfter{name}": 100})
    assert world.settle().again_after == pytest.approx(105)  # the command ended at 5
    world.settle(after=106)
    assert world.actions[2:] == ["DeleteJob"]
    assert world.settle(after=1) == Decision()


@pytest.mark.parametrize(("end", "name"), ENDS.values(), ids=ENDS)
def test_a_job_is_kept_with_its_run_without_retention(end, name):
    other = "Success" if name == "Failure" else "Failure"
    world = submitted(end, retention={f"jobSecondsAfter{other}": 0})
    assert world.settle(after=10_000_000) == Decision()


def test_a_run_deletes_itself_when_its_time_is_over():
    world = submitted(succeeded(), ttlSecondsAfterFinished=60, retention={"jobSecondsAfterSuccess": 30})
    assert world.settle().again_after == pytest.approx(35)
    assert world.settle(after=36).again_after == pytest.approx(29)
    world.settle(after=30)
    assert world.actions[2:] == ["DeleteJob", "DeleteRun"]
    assert world.settle() == Decision()


def test_a_time_to_live_that_is_set_later_counts_from_the_end():
    world = submitted(failed())
    world.settle(after=1000)
    world.change(ttlSecondsAfterFinished=60)
    world.settle()
    assert world.actions[2:] == ["DeleteRun"]


def test_a_finished_run_without_an_end_stays():
    world = submitted(succeeded())
    del world.body["status"]["completionTime"]
    world.change(ttlSecondsAfterFinished=0)
    assert world.settle() == Decision()


def test_a_decision_needs_no_clock_but_the_one_it_is_given():
    world = submitted(pod(conditions=UNSCHEDULABLE), pendingDeadlineSeconds=100)
    run = ProjectRun.parse(world.body)
    early, late = (decide(run, world.observe(), at(seconds), RULES) for seconds in (0, 1000))
    assert early == replace(early, status=None)
    assert late.status.condition(ConditionType.SUCCEEDED).reason == "PendingDeadlineExceeded"


def test_the_time_in_which_a_run_is_held_is_not_its_own():
    world = World.of(suspend=True, pendingDeadlineSeconds=60)
    world.settle()
    world.settle(after=7200)
    world.change(suspend=False)
    world.settle()
    assert (world.phase, world.jobs_made) == ("Preparing", 1)
    assert world.conditions()[ConditionType.SUSPENDED] == "False"
    decision = world.settle(pods=[pod(conditions=UNSCHEDULABLE)], after=59)
    assert (world.phase, decision.again_after) == ("Preparing", 1)
    world.settle(after=1)
    assert (world.phase, world.reason) == ("Failed", "PendingDeadlineExceeded")
    assert "60 s after the run's resumption" in world.message


def test_a_job_that_nobody_can_read_any_more_does_not_go_on():
    world = submitted(working())
    world.job["spec"]["template"]["metadata"]["annotations"] = {}
    world.settle()
    assert (world.phase, world.reason) == ("Failed", "JobConflict")
    assert "deletionTimestamp" in world.job["metadata"]
