"""From ``kubectl apply`` to Succeeded, and away: one run as its user sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.installation import condition, outcome, wait_until

if TYPE_CHECKING:
    from tests.e2e.installation import GitHost, Workspace

NASTY = "two words 'single' \"double\" $HOME $(id) `id` ; & | \\ \t\n new line * ? ~ # grün 日本 $$ $(HOME) {x} %d"


def test_an_example_goes_from_a_branch_to_succeeded(workspace: Workspace, git_host: GitHost) -> None:
    commit = git_host.publish("examples.git", {"note.txt": "one more commit"})
    workspace.apply(
        workspace.manifest("two-steps", "examples.git", subdirectory="two_steps", parameters={"rows": "50"})
    )
    assert workspace.run("two-steps")["status"]["phase"] in ("Pending", "Resolving", "Preparing", "Running")
    workspace.kubectl("wait", "--for=condition=Succeeded", "projectrun/two-steps", "--timeout=90s", timeout=100)
    run = workspace.run("two-steps")
    assert outcome(run) == ("Succeeded", "True", "Succeeded")
    status = run["status"]
    assert status["source"] == {"commit": commit, "version": "main", "subdirectory": "two_steps"}
    assert status["kubernetes"]["exitCode"] == 0
    assert [(step["name"], step["state"]) for step in status["steps"]] == [
        ("clone", "Succeeded"),
        ("main", "Succeeded"),
    ]
    assert status["startTime"] <= status["completionTime"]
    assert {each["name"]: each["source"] for each in status["project"]["parameters"]} == {
        "rows": "Spec",
        "noise": "Default",
        "seed": "Default",
    }
    assert condition(run, "Ready")["status"] == "True"
    assert condition(run, "Reconciling") == condition(run, "Stalled") == {}
    assert {each["observedGeneration"] for each in status["conditions"]} == {run["metadata"]["generation"]}
    # Nothing of kopf and no finalizer on the user's object.
    assert "finalizers" not in run["metadata"]
    assert set(run["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}

    table = workspace.kubectl("get", "prun", "two-steps")
    assert "Succeeded" in table
    assert "main" in table
    wide = workspace.kubectl("get", "prun", "two-steps", "-o", "wide")
    assert commit[:7] in wide
    told = workspace.kubectl("describe", "prun", "two-steps")
    reasons = ["ProjectResolved", "JobCreated", "RunStarted", "RunSucceeded"]
    wait_until("all events are there", lambda: workspace.events("two-steps") == reasons, seconds=10)
    assert all(reason in told or reason in workspace.kubectl("describe", "prun", "two-steps") for reason in reasons)

    logs = subprocess.run(
        [str(Path(sys.executable).with_name("mlp")), "logs", "two-steps", "-n", workspace.namespace],
        capture_output=True,
        text=True,
        env={"KUBECONFIG": str(workspace.cluster.kubeconfig), "PATH": "/usr/bin:/bin"},
        check=True,
    )
    assert logs.stdout.strip()

    workspace.kubectl("delete", "prun", "two-steps")
    wait_until("no Job is left", lambda: workspace.names("jobs") == [])
    wait_until("no pod is left", lambda: workspace.names("pods") == [])


def test_parameters_arrive_exactly(workspace: Workspace) -> None:
    values = {"nasty": NASTY, "empty": "", "dashes": "--alpha", "unicode": "naïve ☃", "spaces": "  x  "}
    for name, value in values.items():
        workspace.apply(workspace.manifest(name, "probe.git", parameters={"text": value, "extra one": value}))
    for name, value in values.items():
        run = workspace.finish(name)
        assert outcome(run)[0] == "Succeeded", run["status"]
        said = workspace.kubectl("logs", run["status"]["kubernetes"]["podName"], "-c", "main")
        argv = json.loads(next(line for line in said.splitlines() if line.startswith("ARGV "))[5:])
        assert argv == [value, "--extra one", value]


def test_scripts_are_entry_points_without_an_mlproject_file(workspace: Workspace) -> None:
    manifest = workspace.manifest(
        "greet",
        "examples.git",
        subdirectory="no_mlproject",
        entry_point="greet.py",
        parameters={"name": "Ada Lovelace", "times": "2"},
    )
    workspace.apply(manifest)
    run = workspace.finish("greet")
    assert outcome(run)[0] == "Succeeded"
    said = workspace.kubectl("logs", run["status"]["kubernetes"]["podName"], "-c", "main")
    assert said == "Hello, Ada Lovelace!\nHello, Ada Lovelace!\n"


def test_a_deleted_run_ends_its_command_at_once(workspace: Workspace) -> None:
    workspace.apply(workspace.manifest("sleeper", "probe.git", entry_point="sleep"))
    wait_until("it runs", lambda: workspace.run("sleeper")["status"]["phase"] == "Running")
    workspace.kubectl("delete", "prun", "sleeper")
    # SIGTERM reaches the command: it takes nothing near the grace period of 30 s.
    wait_until("no pod is left", lambda: workspace.names("pods") == [], seconds=15)
    assert workspace.names("jobs") == []
