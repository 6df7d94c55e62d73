"""Every state of a Job and its pods that kubelet, the scheduler and the Job controller produce, and what it means."""

from __future__ import annotations

import json

import pytest

from mlp.errors import (
    AuthenticationFailed,
    EntryPointNotFound,
    ProjectInvalid,
    SourceNotFound,
    SourceUnavailable,
    UsageError,
)
from mlp.steps.report import Report
from mlp_operator.runs.job import ATTEMPT_ANNOTATION
from mlp_operator.runs.pods import left
from mlp_operator.runs.situation import read_job
from tests.operator.build import (
    DISRUPTED,
    FETCHED,
    at,
    ended,
    failed,
    job,
    pod,
    project_run,
    reading,
    report,
    running,
    stamp,
    succeeded,
    waiting,
    working,
)

UNSCHEDULABLE = {"PodScheduled": ("False", "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.")}
NO_VOLUME = {"PodScheduled": ("False", "Unschedulable", 'persistentvolumeclaim "data" not found')}
GATED = {"PodScheduled": ("False", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")}

# Situation: pod -> phase, reason, a part of the message.
BEFORE_THE_COMMAND = {
    "nothing but a Job": (None, "Preparing", "Submitted", "its pod is on its way"),
    "a pod without any status": (pod() | {"status": {}}, "Preparing", "Submitted", "being started"),
    "a new pod": (pod(), "Preparing", "Submitted", "being started"),
    "no node": (pod(conditions=UNSCHEDULABLE), "Preparing", "Unschedulable", "3 Insufficient cpu"),
    "no volume": (pod(conditions=NO_VOLUME), "Preparing", "VolumePending", '"data" not found'),
    "a scheduling gate": (pod(conditions=GATED), "Preparing", "SchedulingGated", "gates"),
    "scheduled": (pod(conditions={"PodScheduled": "True"}), "Preparing", "Submitted", "being started"),
    "init is being created": (pod(init=waiting()), "Preparing", "Submitted", "being started"),
    "init's image fails": (
        pod(init=waiting("ErrImagePull", "not found")),
        "Preparing",
        "ImagePullBackOff",
        "mlp-runner:1 cannot be pulled: not found",
    ),
    "init's image fails again": (
        pod(init=waiting("ImagePullBackOff", "Back-off")),
        "Preparing",
        "ImagePullBackOff",
        "mlp-runner:1 cannot be pulled: Back-off",
    ),
    "init's image has no name": (pod(init=waiting("InvalidImageName")), "Preparing", "ImagePullBackOff", "Invalid"),
    "init's image must be there": (pod(init=waiting("ErrImageNeverPull")), "Preparing", "ImagePullBackOff", "Never"),
    "a missing ConfigMap": (
        pod(init=waiting("CreateContainerConfigError", 'configmap "c" not found')),
        "Preparing",
        "CreateContainerConfigError",
        'prepare cannot be created: configmap "c" not found',
    ),
    "init runs": (pod(init=running(3)), "Preparing", "Fetching", "being fetched"),
    "init is done": (pod(init=FETCHED), "Preparing", "Submitted", "being started"),
    "main's image fails": (
        pod(init=FETCHED, main=waiting("ErrImagePull", "denied")),
        "Preparing",
        "ImagePullBackOff",
        "The image image cannot be pulled: denied",
    ),
    "main cannot be created": (
        pod(init=FETCHED, main=waiting("CreateContainerError", "bad mount")),
        "Preparing",
        "CreateContainerError",
        "main cannot be created: bad mount",
    ),
    "an injected sidecar runs": (pod(init=waiting(), sidecar=running()), "Preparing", "Submitted", "being started"),
}


@pytest.mark.parametrize(("of", "phase", "reason", "part"), BEFORE_THE_COMMAND.values(), ids=BEFORE_THE_COMMAND)
def test_what_a_pod_says_before_its_command_starts(of, phase, reason, part):
    found = reading(*([] if of is None else [of]))
    assert (found.situation.phase, found.situation.reason) == (phase, reason)
    assert part in found.situation.message
    assert not found.situation.finished
    assert (found.attempts, found.exit_code, found.completed, found.started) == (1, None, None, False)


@pytest.mark.parametrize("reason", ["Submitted", "Fetching"])
def test_only_a_start_that_goes_well_is_minor(reason):
    minor = {
        situation.reason
        for of, *_ in BEFORE_THE_COMMAND.values()
        if (situation := reading(*([] if of is None else [of])).situation).minor
    }
    assert minor == {"Submitted", "Fetching"}
    assert reason in minor


# Our own steps' errors: exit code and report, as mlp.steps writes them.
ERRORS = [UsageError, EntryPointNotFound, ProjectInvalid, SourceNotFound, AuthenticationFailed, SourceUnavailable]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.__name__} {error.exit_code}")
def test_a_failed_step_tells_its_reason_and_message_itself(error):
    said = Report(error.reason, "what is wrong and the way out").to_json()
    found = reading(pod("Failed", init=ended(error.exit_code, said)), backoff_limit=2)
    assert found.situation.message.endswith("what is wrong and the way out")
    if error.temporary:
        assert (found.situation.phase, found.situation.reason) == ("Pending", "Retrying")
    else:
        assert (found.situation.phase, found.situation.reason) == ("Failed", error.reason)


@pytest.mark.parametrize("code", [64, 65, 66, 67, 68, 69])
def test_a_mistake_of_the_user_is_not_tried_again(code):
    found = reading(pod("Failed", init=ended(code, report("DataNotFound", "no such object"))), backoff_limit=6)
    assert (found.situation.phase, found.situation.reason) == ("Failed", "DataNotFound")


def test_a_temporary_failure_of_a_step_keeps_its_reason_when_no_attempt_is_left():
    found = reading(pod("Failed", init=ended(75, report("SourceUnavailable", "no route"))))
    assert (found.situation.phase, found.situation.reason) == ("Failed", "SourceUnavailable")
    assert found.situation.message == "no route"


MAIN_ENDED = {
    "exit code 3": (failed(3, "Traceback\nValueError: no"), "EntryPointFailed", "exit code 3.\nThe end of its log:\nT"),
    "no log": (failed(1), "EntryPointFailed", "The command ended with exit code 1."),
    "killed": (failed(137), "EntryPointFailed", "exit code 137 (SIGKILL)"),
    "terminated": (failed(143), "EntryPointFailed", "exit code 143 (SIGTERM)"),
    "crashed": (failed(139), "EntryPointFailed", "exit code 139 (SIGSEGV)"),
    "out of memory": (failed(137, "loading…", why="OOMKilled"), "OOMKilled", "resources.limits.memory"),
    "no bash": (failed(128, 'exec: "bash": not found', why="StartError"), "EntryPointFailed", "it needs bash"),
    "cannot run": (failed(128, why="ContainerCannotRun"), "EntryPointFailed", "no reason given"),
    "lost by its node": (failed(137, why="ContainerStatusUnknown"), "NodeLost", "nobody knows how the command ended"),
}


@pytest.mark.parametrize(("of", "reason", "part"), MAIN_ENDED.values(), ids=MAIN_ENDED)
def test_how_the_command_ended(of, reason, part):
    found = reading(of)
    assert (found.situation.phase, found.situation.reason) == ("Failed", reason)
    assert part in found.situation.message
    assert found.exit_code == of["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    assert found.completed == at(5)
    assert found.started


POD_FAILED = {
    "evicted": (
        pod("Failed", reason="Evicted", message="The node was low on resource: memory."),
        "Evicted",
        "low on resource: memory",
    ),
    "evicted without a word": (pod("Failed", reason="Evicted"), "Evicted", "no reason given"),
    "the node is lost": (pod("Failed", reason="NodeLost", message="unresponsive"), "NodeLost", "unresponsive"),
    "the node shuts down": (
        pod("Failed", reason="Terminated", message="Pod was terminated in response to imminent node shutdown."),
        "NodeLost",
        "imminent node shutdown",
    ),
    "not admitted by the node": (
        pod("Failed", reason="OutOfcpu", message="Pod was rejected: Node didn't have enough resource: cpu"),
        "NodeLost",
        "enough resource: cpu",
    ),
    "nothing is known": (pod("Failed"), "NodeLost", "before its containers were started"),
    "init out of memory": (
        pod("Failed", init=ended(137, reason="OOMKilled")),
        "OOMKilled",
        "prepare ran out of memory",
    ),
    "init without a report": (
        pod("Failed", init=ended(1, "Traceback …\nMemoryError")),
        "PreparationFailed",
        "prepare ended with exit code 1. Traceback …\nMemoryError",
    ),
    "init without a word": (pod("Failed", init=ended(1)), "PreparationFailed", "ended with exit code 1."),
    "init with an empty report": (pod("Failed", init=ended(1, "{}")), "PreparationFailed", "exit code 1. {}"),
    "init with another's JSON": (pod("Failed", init=ended(1, "[1]")), "PreparationFailed", "exit code 1. [1]"),
    "an injected sidecar": (
        pod("Failed", init=FETCHED, main=ended(3, "no"), sidecar=ended(143)),
        "EntryPointFailed",
        "exit code 3",
    ),
}


@pytest.mark.parametrize(("of", "reason", "part"), POD_FAILED.values(), ids=POD_FAILED)
def test_how_a_pod_failed_without_its_command(of, reason, part):
    found = reading(of)
    assert (found.situation.phase, found.situation.reason) == ("Failed", reason)
    assert part in found.situation.message


ODD_REPORTS = {
    "a reason that is no word": {"reason": "no such thing!", "message": "m"},
    "a reason that is no text": {"reason": {"a": 1}, "message": "m"},
    "a message that is no text": {"reason": "X", "message": ["m"]},
    "steps that are no list": {"reason": "X", "message": "m", "steps": {"name": "clone"}},
    "steps that are no objects": {"reason": "X", "message": "m", "steps": [1, None, "clone", {}]},
    "times that are none": {"reason": "X", "message": "m", "steps": [{"name": "clone", "startTime": "soon"}]},
    "times without a zone": {"reason": "X", "message": "m", "steps": [{"name": "clone", "startTime": "2026-01-01"}]},
    "times that are numbers": {"reason": "X", "message": "m", "steps": [{"name": "clone", "startTime": 7}]},
    "times that no clock shows": {
        "reason": "X",
        "message": "m",
        "steps": [{"name": "clone", "startTime": "0001-01-01T00:00:00+14:00"}],
    },
    "a step of another version": {"reason": "X", "message": "m", "steps": [{"name": "bake"}]},
}


def test_a_log_that_looks_like_endless_json_is_only_a_log():
    found = reading(pod("Failed", init=ended(1, "[" * 4096)))
    assert (found.situation.phase, found.situation.reason) == ("Failed", "PreparationFailed")


@pytest.mark.parametrize("said", ODD_REPORTS.values(), ids=ODD_REPORTS)
def test_a_report_in_another_form_is_read_as_far_as_it_goes(said):
    found = reading(pod("Failed", init=ended(66, json.dumps(said))))
    assert found.situation.phase == "Failed"
    assert found.situation.reason in ("X", "PreparationFailed")
    assert [step.name for step in found.steps] == ["clone", "main"]


@pytest.mark.parametrize(
    "said", ['{"reason": {"a": 1}}', '{"reason": "' + "x" * 2000 + '"}', '{"reason": "Completed"}']
)
def test_json_at_the_end_of_the_commands_log_is_only_a_log(said):
    found = reading(failed(1, said))
    assert found.steps[-1].reason == "Error"
    assert said in found.situation.message


def test_a_running_command():
    found = reading(working())
    assert (found.situation.phase, found.situation.reason) == ("Running", "Running")
    assert (found.started, found.exit_code, found.attempts) == (True, None, 1)


def test_success_is_read_from_the_pod_before_the_job_says_so():
    found = reading(succeeded())
    assert (found.situation.phase, found.situation.reason) == ("Succeeded", "Succeeded")
    assert (found.exit_code, found.completed) == (0, at(5))


# The Job's own verdict, where the pods alone do not say it all: condition, pods -> phase, reason.
TIME_IS_UP = ("DeadlineExceeded", "Job was active longer than specified deadline")
VERDICTS = {
    "complete, and the pod gone": (("Complete", "CompletionsReached"), [], "Succeeded", "Succeeded"),
    "complete, and only a failed pod left": (("Complete", "CompletionsReached"), [failed()], "Succeeded", "Succeeded"),
    "failed, and the pod gone": (("Failed", "BackoffLimitExceeded"), [], "Failed", "BackoffLimitExceeded"),
    "failed by policy, and the pod gone": (("Failed", "PodFailurePolicy"), [], "Failed", "BackoffLimitExceeded"),
    "time is up, the pod still ends": (("FailureTarget", *TIME_IS_UP), [working()], "Running", "Running"),
    "time is up, the pod has ended": (("FailureTarget", *TIME_IS_UP), [failed(143)], "Failed", "DeadlineExceeded"),
    "time is up, the pod is gone": (("FailureTarget", *TIME_IS_UP), [], "Failed", "DeadlineExceeded"),
    "time was up": (("Failed", *TIME_IS_UP), [failed(143)], "Failed", "DeadlineExceeded"),
    "time was up, and the pod gone": (("Failed", *TIME_IS_UP), [], "Failed", "DeadlineExceeded"),
    "given up, the pod still there": (
        ("FailureTarget", "BackoffLimitExceeded"),
        [failed()],
        "Failed",
        "EntryPointFailed",
    ),
    "failed by policy": (
        ("Failed", "PodFailurePolicy"),
        [pod("Failed", init=ended(67, report("AuthenticationFailed", "no")))],
        "Failed",
        "AuthenticationFailed",
    ),
}


@pytest.mark.parametrize(("condition", "pods", "phase", "reason"), VERDICTS.values(), ids=VERDICTS)
def test_what_the_jobs_own_conditions_add(condition, pods, phase, reason):
    found = reading(*pods, condition=condition)
    assert (found.situation.phase, found.situation.reason) == (phase, reason)


# A limit of 100 s; the Job's start, the pod -> reason. The pod's deletion was asked for 30 s before its timestamp.
TIMES = {
    "deleted when the time was up": (-130, failed(143, deleting=30), "DeadlineExceeded"),
    "deleted before": (-129, failed(143, deleting=30), "EntryPointFailed"),
    "not deleted": (-130, failed(3), "EntryPointFailed"),
    "the start is not known": (None, failed(143, deleting=30), "EntryPointFailed"),
}


@pytest.mark.parametrize(("start", "of", "reason"), TIMES.values(), ids=TIMES)
def test_a_pod_that_was_deleted_when_its_time_was_up_ran_too_long(start, of, reason):
    limited = job(project_run(activeDeadlineSeconds=100), started=start)
    assert read_job(limited, [of], backoff_limit=0, planned=("clone",)).situation.reason == reason


def test_a_condition_that_is_not_true_says_nothing():
    found = reading(condition=("Suspended", "JobSuspended"))
    assert found.situation.reason == "Submitted"


# backoffLimit 2: the failed count of the Job, the pods -> phase, reason, attempts.
RETRIES = {
    "the first fails": (0, [failed()], "Pending", "Retrying", 1),
    "and is counted": (1, [failed()], "Pending", "Retrying", 1),
    "the second is made": (1, [failed(), pod(number=2)], "Preparing", "Submitted", 2),
    "the second runs": (1, [failed(), working(2)], "Running", "Running", 2),
    "the count is late": (0, [failed(), working(2)], "Running", "Running", 2),
    "the first pod is gone": (1, [working(2)], "Running", "Running", 2),
    "the second fails": (1, [failed(), failed(number=2)], "Pending", "Retrying", 2),
    "the third runs": (2, [failed(), failed(number=2), working(3)], "Running", "Running", 3),
    "the third fails": (2, [failed(), failed(number=2), failed(number=3)], "Failed", "BackoffLimitExceeded", 3),
    "the third succeeds": (2, [failed(), failed(number=2), succeeded(3)], "Succeeded", "Succeeded", 3),
    "all pods but the last are gone": (3, [failed(number=3)], "Failed", "BackoffLimitExceeded", 3),
    "out of memory at last": (3, [failed(number=3, why="OOMKilled")], "Failed", "OOMKilled", 3),
    "no bash, which may have been runc": (0, [failed(128, why="StartError")], "Pending", "Retrying", 1),
}


@pytest.mark.parametrize(("count", "pods", "phase", "reason", "attempts"), RETRIES.values(), ids=RETRIES)
def test_attempts_with_a_backoff_limit_of_two(count, pods, phase, reason, attempts):
    found = reading(*pods, backoff_limit=2, failed=count)
    assert (found.situation.phase, found.situation.reason, found.attempts) == (phase, reason, attempts)


def test_the_last_attempts_log_is_told():
    found = reading(failed(4, "the third time", number=3), backoff_limit=2, failed=3)
    assert found.situation.message.startswith("All 3 attempts failed. The last: The command ended with exit code 4")
    assert found.situation.message.endswith("the third time")


DISRUPTIONS = {
    "preempted": (0, 0, [failed(143, conditions=DISRUPTED)], "Retrying", 1),
    "preempted before it started": (0, 0, [pod("Failed", conditions=DISRUPTED)], "Retrying", 1),
    "its successor runs": (0, 0, [failed(143, conditions=DISRUPTED), working(2)], "Running", 1),
    "its successor fails": (0, 0, [failed(143, conditions=DISRUPTED), failed(number=2)], "EntryPointFailed", 1),
    "after a failure": (1, 1, [failed(), failed(143, number=2, conditions=DISRUPTED)], "Retrying", 1),
    "not any more": (0, 0, [failed(conditions={"DisruptionTarget": "False"})], "EntryPointFailed", 1),
}


@pytest.mark.parametrize(("count", "limit", "pods", "reason", "attempts"), DISRUPTIONS.values(), ids=DISRUPTIONS)
def test_a_disruption_does_not_count_as_an_attempt(count, limit, pods, reason, attempts):
    found = reading(*pods, failed=count, backoff_limit=limit)
    assert (found.situation.reason, found.attempts) == (reason, attempts)


def test_a_disrupted_command_had_started():
    found = reading(failed(143, conditions=DISRUPTED), pod(number=2))
    assert (found.started, found.situation.phase) == (True, "Preparing")


EARLIER = {
    "no pod yet": (1, 0, [], 1),
    "its first pod": (1, 0, [pod()], 2),
    "its first pod has failed": (1, 0, [failed()], 2),
    "its second pod": (1, 1, [failed(), pod(number=2)], 3),
    "no pod any more": (1, 1, [], 2),
}


@pytest.mark.parametrize(("before", "count", "pods", "attempts"), EARLIER.values(), ids=EARLIER)
def test_attempts_of_earlier_jobs_count(before, count, pods, attempts):
    found = reading(*pods, attempts_before=before, failed=count, backoff_limit=5)
    assert found.attempts == attempts


@pytest.mark.parametrize("text", ["", "two", "-1", "9999999999", "9" * 5000], ids=lambda text: text[:11])
def test_a_count_that_somebody_has_changed_is_not_believed(text):
    changed = job()
    changed["metadata"]["annotations"][ATTEMPT_ANNOTATION] = text
    assert read_job(changed, [working()], backoff_limit=0, planned=("clone",)).attempts == 1


def test_pods_of_an_earlier_job_say_nothing():
    found = reading(failed(of="an earlier one"))
    assert (found.situation.reason, found.pod) == ("Submitted", None)


WITHDRAWN = {
    "still ending": working(deleting=30, withdrawn=True),
    "ended by SIGTERM": failed(143, deleting=30, withdrawn=True),
}


@pytest.mark.parametrize("of", WITHDRAWN.values(), ids=WITHDRAWN)
def test_a_pod_that_a_suspension_took_back_says_nothing(of):
    found = reading(of)
    assert (found.situation.reason, found.attempts) == ("Submitted", 1)


def test_a_pod_that_somebody_deletes_has_failed():
    found = reading(failed(143, deleting=30))
    assert (found.situation.phase, found.situation.reason) == ("Failed", "EntryPointFailed")


def test_a_long_log_is_cut_at_a_line():
    log = "\n".join(f"line {number} with a ü" for number in range(10_000))
    message = reading(failed(1, log)).situation.message
    assert len(message.encode()) <= 4096
    assert message.endswith("line 9999 with a ü")
    assert message.split("The end of its log:\n")[1].startswith("line ")


def test_one_endless_line_is_cut_within_a_character():
    message = reading(failed(1, "🍷" * 5000)).situation.message
    assert len(message.encode()) <= 4096
    assert message.endswith("🍷")
    assert "�" not in message


def test_steps_have_the_times_that_their_container_tells():
    of = pod("Running", init=ended(0, report("Completed", "", ("clone", 0, 2), ("data", 2, 7))), main=running(9))
    steps = [
        (step.name, step.state, step.started, step.finished) for step in reading(of, planned=("clone", "data")).steps
    ]
    assert steps == [
        ("clone", "Succeeded", at(0), at(2)),
        ("data", "Succeeded", at(2), at(7)),
        ("main", "Running", at(9), None),
    ]


ALL = ("clone", "data", "environment")


def told(*steps):
    """A report whose steps say themselves how they ended."""
    stamps = ({"startTime": stamp(0), "completionTime": stamp(1)} for _ in steps)
    listed = [{"name": name, "state": state, **times} for (name, state), times in zip(steps, stamps, strict=True)]
    return json.dumps({"reason": "DataNotFound", "message": "", "steps": listed})


# A pod, the steps that it was to go through, and what is known of them.
STEPS = {
    "waiting": (pod(init=waiting()), ("clone",), [("clone", "Pending", None), ("main", "Pending", None)]),
    "fetching": (pod(init=running()), ("clone",), [("clone", "Running", None), ("main", "Pending", None)]),
    "preparing": (
        pod(init=running()),
        ALL,
        [*((step, "Running", None) for step in ALL), ("main", "Pending", None)],
    ),
    "fetched": (pod(init=FETCHED), ("clone",), [("clone", "Succeeded", None), ("main", "Pending", None)]),
    "the second step failed": (
        pod("Failed", init=ended(68, report("DataNotFound", "", ("clone", 0, 1), ("data", 1, 2)))),
        ("clone", "data"),
        [("clone", "Succeeded", None), ("data", "Failed", "DataNotFound"), ("main", "Pending", None)],
    ),
    "one of two side by side failed": (
        pod("Failed", init=ended(68, told(("clone", "Succeeded"), ("data", "Failed"), ("environment", "Succeeded")))),
        ALL,
        [
            ("clone", "Succeeded", None),
            ("data", "Failed", "DataNotFound"),
            ("environment", "Succeeded", None),
            ("main", "Pending", None),
        ],
    ),
    "the first step failed": (
        pod("Failed", init=ended(66, told(("clone", "Failed")))),
        ALL,
        [
            ("clone", "Failed", "DataNotFound"),
            ("data", "Skipped", None),
            ("environment", "Skipped", None),
            ("main", "Pending", None),
        ],
    ),
    "died without a report": (
        pod("Failed", init=ended(137, reason="OOMKilled")),
        ("clone",),
        [("clone", "Failed", "OOMKilled"), ("main", "Pending", None)],
    ),
    "the command failed": (failed(3), ("clone",), [("clone", "Succeeded", None), ("main", "Failed", "Error")]),
    "nothing is known": (pod("Failed", reason="Evicted"), ALL, []),
}


@pytest.mark.parametrize(("of", "planned", "steps"), STEPS.values(), ids=STEPS)
def test_the_states_of_steps(of, planned, steps):
    assert [(step.name, step.state, step.reason) for step in reading(of, planned=planned).steps] == steps


def test_steps_of_several_containers_stand_in_their_order():
    of = pod(init=waiting())
    fetched = json.loads(report("Completed", "", ("clone", 0, 1), ("data", 1, 4)))
    of["status"]["initContainerStatuses"] = [
        {"name": "fetch", "image": "i", "state": ended(0, json.dumps(fetched))},
        {"name": "environment", "image": "i", "state": running(5)},
    ]
    found = reading(of, planned=ALL)
    assert [(step.name, step.state) for step in found.steps] == [
        ("clone", "Succeeded"),
        ("data", "Succeeded"),
        ("environment", "Running"),
        ("main", "Pending"),
    ]
    assert (found.situation.reason, found.since) == ("BuildingEnvironment", at(5))


LEFT = {
    "succeeded": (pod("Succeeded"), True),
    "failed": (pod("Failed", deleting=30), True),
    "runs": (pod("Running"), False),
    "is being ended": (pod("Running", deleting=30), False),
    "ended by kubelet": (pod("Running", deleting=0), True),
    "waits": (pod(), False),
}


@pytest.mark.parametrize(("of", "expected"), LEFT.values(), ids=LEFT)
def test_whether_the_containers_of_a_pod_are_gone(of, expected):
    assert left(of) is expected


def test_a_deleted_pod_that_no_node_has_seen_is_gone():
    of = pod(deleting=30)
    of["spec"] = {"nodeName": None}
    assert left(of)


def test_fetching_tells_since_when():
    assert reading(pod(init=running(3))).since == at(3)
    assert reading(pod(init=FETCHED)).since is None


def test_a_command_that_has_ended_in_a_pod_that_has_not_is_still_running():
    before, after = reading(working()), reading(pod("Running", init=FETCHED, main=ended(0)))
    assert (after.situation, after.exit_code) == (before.situation, None)
    assert [(step.name, step.state, step.finished is None) for step in after.steps][-1] == ("main", "Running", True)
