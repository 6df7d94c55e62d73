"""What a user reads when a run cannot start, or does not end well."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.installation import condition, outcome, wait_until

if TYPE_CHECKING:
    from tests.e2e.installation import Workspace

MISTAKES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    # name: what differs from a good run, the reason, what the message has to say
    "unknown-entry-point": ({"entry_point": "exti"}, "EntryPointNotFound", ["exti", "'exit'"]),
    "missing-parameter": (
        {"entry_point": "exit"},
        "ParameterMissing",
        ["No value given for missing parameters: 'code'"],
    ),
    "mistyped-parameter": (
        {"entry_point": "exit", "parameters": {"code": "three"}},
        "ParameterInvalid",
        ["code", "int", "three"],
    ),
    "bad-repository": ({"repository": "nowhere.git"}, "SourceNotFound", ["nowhere.git"]),
    "bad-branch": ({"version": "mian"}, "SourceNotFound", ["mian", "main"]),
    "bad-subdirectory": ({"subdirectory": "not/there"}, "SourceNotFound", ["not/there"]),
    "wrong-password": ({"secret": "wrong-creds"}, "AuthenticationFailed", ["authSecretRef"]),
    "no-password": ({"secret": None}, "AuthenticationFailed", ["authSecretRef"]),
}


@pytest.fixture
def flawed(workspace: Workspace) -> Workspace:
    workspace.give_credentials(name="wrong-creds", password="not-the-password")
    return workspace


def test_mistakes_are_told_before_any_job_exists(flawed: Workspace) -> None:
    for name, (differs, _, _) in MISTAKES.items():
        arguments = {"repository": "probe.git", **differs}
        flawed.apply(flawed.manifest(name, **arguments))
    for name, (_, reason, words) in MISTAKES.items():
        run = flawed.finish(name, seconds=40)
        assert outcome(run) == ("Failed", "False", reason), (name, run["status"])
        stalled = condition(run, "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", reason)
        assert condition(run, "Ready")["status"] == "False"
        message = condition(run, "Succeeded")["message"]
        assert not [word for word in words if word not in message], (name, message)
        assert flawed.host.password not in message
        assert "kubernetes" not in run["status"]
        wait_until("its event is there", lambda name=name: "RunFailed" in flawed.events(name), seconds=10)
        assert flawed.events(name) == ["ProjectResolutionFailed", "RunFailed"]
    assert flawed.names("jobs") == []


def test_a_secret_that_comes_late_is_waited_for(workspace: Workspace) -> None:
    workspace.apply(workspace.manifest("early", "probe.git", secret="late-creds"))
    waiting = wait_until(
        "it says what it waits for",
        lambda: (
            condition(workspace.run("early"), "Succeeded").get("reason") == "SourceUnavailable"
            and workspace.run("early")
        ),
    )
    assert "late-creds" in condition(waiting, "Succeeded")["message"]
    assert condition(waiting, "Reconciling")["status"] == "True"
    workspace.give_credentials(name="late-creds")
    assert outcome(workspace.finish("early"))[0] == "Succeeded"


def test_the_commands_exit_code_and_last_lines_are_told(workspace: Workspace) -> None:
    workspace.apply(workspace.manifest("three", "probe.git", entry_point="exit", parameters={"code": "3"}))
    run = workspace.finish("three")
    assert outcome(run) == ("Failed", "False", "EntryPointFailed")
    message = condition(run, "Succeeded")["message"]
    assert "exit code 3" in message
    assert "about to leave" in message
    assert run["status"]["kubernetes"]["exitCode"] == 3
    assert run["status"]["attempts"] == 1
    assert [(each["name"], each["state"]) for each in run["status"]["steps"]] == [
        ("clone", "Succeeded"),
        ("main", "Failed"),
    ]


def test_an_image_that_cannot_be_pulled_is_told_and_waited_for(workspace: Workspace) -> None:
    environment = {"manager": "Image", "image": "mlp.test/no-such-image:1"}
    workspace.apply(workspace.manifest("pull", "probe.git", environment=environment, pendingDeadlineSeconds=20))
    run = wait_until(
        "it says so",
        lambda: (
            condition(workspace.run("pull"), "Succeeded").get("reason") == "ImagePullBackOff" and workspace.run("pull")
        ),
    )
    assert run["status"]["phase"] == "Preparing"
    assert "mlp.test/no-such-image:1" in condition(run, "Succeeded")["message"]
    assert condition(run, "Reconciling")["status"] == "True"
    # Until the deadline for starting.
    run = workspace.finish("pull", seconds=40)
    assert outcome(run) == ("Failed", "False", "PendingDeadlineExceeded")
    assert "no-such-image" in condition(run, "Succeeded")["message"]
    wait_until("its pod is gone", lambda: workspace.names("pods") == [], seconds=40)


def test_a_pod_that_the_cluster_refuses_is_told(workspace: Workspace) -> None:
    context = {"runAsUser": 0, "runAsNonRoot": False}
    backend = {"type": "Kubernetes", "kubernetes": {"securityContext": context}}
    workspace.apply(workspace.manifest("rooted", "probe.git", backend=backend, pendingDeadlineSeconds=30))
    run = wait_until(
        "it says so",
        lambda: (
            condition(workspace.run("rooted"), "Succeeded").get("reason") == "PodRefused" and workspace.run("rooted")
        ),
    )
    assert "PodSecurity" in condition(run, "Succeeded")["message"]
    assert condition(run, "Reconciling")["status"] == "True"
    run = workspace.finish("rooted", seconds=40)
    assert outcome(run) == ("Failed", "False", "PendingDeadlineExceeded")


def test_a_deleted_job_is_made_again_while_attempts_are_left(workspace: Workspace) -> None:
    manifest = workspace.manifest(
        "phoenix", "probe.git", entry_point="sleep", parameters={"seconds": "6"}, backoffLimit=1
    )
    workspace.apply(manifest)
    first = wait_until(
        "it runs", lambda: workspace.run("phoenix")["status"]["phase"] == "Running" and workspace.run("phoenix")
    )
    workspace.kubectl("delete", "job", "phoenix")
    run = workspace.finish("phoenix")
    assert outcome(run) == ("Succeeded", "True", "Succeeded")
    assert run["status"]["attempts"] == 2
    assert run["status"]["kubernetes"]["jobUid"] != first["status"]["kubernetes"]["jobUid"]
    assert run["status"]["source"]["commit"] == first["status"]["source"]["commit"]


def test_a_run_can_be_held_and_let_go(workspace: Workspace) -> None:
    workspace.apply(workspace.manifest("held", "probe.git", suspend=True))
    run = wait_until(
        "it is held", lambda: workspace.run("held")["status"]["phase"] == "Suspended" and workspace.run("held")
    )
    assert condition(run, "Suspended")["status"] == "True"
    assert condition(run, "Reconciling") == {}
    assert workspace.names("jobs") == []
    workspace.kubectl("patch", "prun", "held", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    assert outcome(workspace.finish("held"))[0] == "Succeeded"


def test_a_running_run_can_be_held_and_starts_anew(workspace: Workspace) -> None:
    workspace.apply(workspace.manifest("paused", "probe.git", entry_point="sleep", parameters={"seconds": "8"}))
    wait_until("it runs", lambda: workspace.run("paused")["status"]["phase"] == "Running")
    workspace.kubectl("patch", "prun", "paused", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    wait_until("it is held", lambda: workspace.run("paused")["status"]["phase"] == "Suspended")
    wait_until("no pod is left", lambda: workspace.names("pods") == [])
    time.sleep(2)
    assert workspace.run("paused")["status"]["phase"] == "Suspended"
    workspace.kubectl("patch", "prun", "paused", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    run = workspace.finish("paused")
    assert outcome(run)[0] == "Succeeded"
    assert run["status"]["attempts"] == 1
    events = workspace.events("paused")
    assert [each for each in events if each in ("RunSuspended", "RunResumed", "RunFailed")] == [
        "RunSuspended",
        "RunResumed",
    ]


@pytest.mark.parametrize("how", ["Stop", "Terminate"])
def test_a_run_that_is_shut_down_is_cancelled_when_no_pod_is_left(workspace: Workspace, how: str) -> None:
    workspace.apply(workspace.manifest("ended", "probe.git", entry_point="sleep"))
    wait_until("it runs", lambda: workspace.run("ended")["status"]["phase"] == "Running")
    started = time.monotonic()
    workspace.kubectl("patch", "prun", "ended", "--type=merge", "-p", f'{{"spec":{{"shutdown":"{how}"}}}}')
    run = workspace.finish("ended", seconds=20)
    assert outcome(run) == ("Cancelled", "False", "Cancelled")
    assert workspace.names("pods") == []
    assert time.monotonic() - started < 20
    assert "RunCancelled" in workspace.events("ended")


def test_a_foreign_job_of_the_runs_name_is_left_alone(workspace: Workspace) -> None:
    workspace.kubectl("create", "job", "taken", "--image=mlp.test/runner:1", "--", "true")
    workspace.apply(workspace.manifest("taken", "probe.git"))
    run = wait_until(
        "it says so",
        lambda: (
            condition(workspace.run("taken"), "Succeeded").get("reason") == "JobConflict" and workspace.run("taken")
        ),
    )
    assert condition(run, "Reconciling")["status"] == "True"
    workspace.kubectl("delete", "job", "taken")
    assert outcome(workspace.finish("taken"))[0] == "Succeeded"
