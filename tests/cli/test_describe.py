"""``mlp describe``: how a run is and why, what it is made of, what was noted about it, what to do next."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from mlp.backends.kubernetes.events import read_event
from mlp.cli.description import described_run
from mlp.cli.place import Place
from mlp.resources import ProjectRun
from tests.cli.program import mlp
from tests.resources.manifests import project_run

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOW = datetime.now(UTC)


def at(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def run(phase: str = "Pending", reason: str = "Pending", message: str = "", *, spec=None, **status) -> ProjectRun:
    manifest = project_run(name="wine", **(spec or {}))
    manifest["metadata"] |= {"namespace": "team", "creationTimestamp": at(600), "uid": "1"}
    succeeded = {"Succeeded": "True", "Failed": "False", "Cancelled": "False"}.get(phase, "Unknown")
    condition = {"type": "Succeeded", "status": succeeded, "reason": reason, "message": message}
    status = {
        "observedGeneration": 1,
        "phase": phase,
        "conditions": [condition | {"lastTransitionTime": at(60)}],
        **status,
    }
    return ProjectRun.read(manifest | {"status": status})


def told(described: ProjectRun, *events: dict) -> str:
    place = Place(namespace=None, context=None, kubeconfig=None)
    return "\n".join(described_run(described, events=map(read_event, events), call=place.call))


def advised(described: ProjectRun) -> list[str]:
    return told(described).partition("What to do next:\n")[2].split("\n")


def test_why_a_run_is_not_further_stands_in_front():
    text = told(run("Preparing", "Unschedulable", "0/3 nodes are available:\n3 Insufficient memory."))

    head = text.partition("\n\n")[0]
    assert "Phase:        Preparing\n" in head
    assert "Why:          Unschedulable: 0/3 nodes are available:\n              3 Insufficient memory.\n" in head
    assert text.index("Why:") < text.index("What it runs:")
    assert "It goes on when a node has room." in text


def test_a_run_is_told_with_its_steps_its_record_and_what_was_noted_about_it():
    described = run(
        "Failed",
        "EntryPointFailed",
        "The command ended with 3.",
        spec={"backoffLimit": 2, "queueName": "team-a"},
        attempts=3,
        startTime=at(300),
        completionTime=at(100),
        source={"commit": COMMIT, "subdirectory": "wine"},
        project={
            "name": "Wine",
            "entryPoint": "main",
            "command": "python train.py 0.5",
            "environment": {"manager": "Conda"},
            "parameters": [
                {"name": "alpha", "value": "0.5", "type": "float", "source": "Spec"},
                {"name": "token", "source": "Spec"},
            ],
        },
        kubernetes={"jobName": "wine", "podName": "wine-abc", "nodeName": "node-1", "exitCode": 3},
        mlflow={"runId": "abc", "experimentId": "7", "uri": "http://mlflow:5000", "state": "FAILED"},
        steps=[
            {"name": "clone", "state": "Succeeded", "startTime": at(300), "completionTime": at(298)},
            {"name": "main", "state": "Failed", "reason": "Error", "startTime": at(298), "completionTime": at(100)},
        ],
    )
    pulled = {
        "metadata": {},
        "type": "Normal",
        "reason": "Pulled",
        "message": "Container image is\n present",
        "lastTimestamp": at(290),
        "count": 3,
        "involvedObject": {"kind": "Pod", "name": "wine-abc"},
    }

    text = told(described, pulled)

    lines = [" ".join(line.split()) for line in text.splitlines()]
    for expected in (
        r"Attempts: 3 of 3",
        rf"Commit: {COMMIT}",
        r"Command: python train.py 0.5",
        r"Environment: Conda",
        r"alpha '0.5' float Spec",
        r"token \(from a Secret\) <none> Spec",
        r"Job: wine",
        r"Pod: wine-abc",
        r"Node: node-1",
        r"Exit code: 3",
        r"Queue: team-a",
        r"Page: http://mlflow:5000/#/experiments/7/runs/abc",
        r"State: FAILED",
        r"clone Succeeded \w+ ago 2s",
        r"main Failed \w+ ago 3m18s Error",
        r"Succeeded False EntryPointFailed \w+",
        r"\w+ \(x3\) Normal Pulled pod/wine-abc Container image is present",
    ):
        assert any(re.fullmatch(expected, line) for line in lines), (expected, text)


@pytest.mark.parametrize(
    ("described", "lines"),
    [
        (run("Running", "Running"), ["mlp logs -f wine", "mlp cancel wine"]),
        (run("Suspended", "Suspended", spec={"suspend": True}), ["mlp resume wine", "mlp cancel wine"]),
        (run("Running", "Running", spec={"shutdown": "Stop"}), ["mlp cancel --now wine"]),
        (run("Succeeded", "Succeeded"), ["mlp retry wine", "mlp delete wine"]),
        (
            run("Succeeded", "Succeeded", mlflow={"runId": "abc"}, kubernetes={"podName": "p"}),
            ["mlp logs wine", "mlp cp wine: .", "mlp retry wine", "mlp delete wine"],
        ),
        (
            run(
                *("Failed", "EnvironmentFailed"),
                kubernetes={"podName": "p"},
                steps=[{"name": "environment", "state": "Failed"}],
            ),
            ["mlp logs -s environment wine", "mlp retry wine", "mlp delete wine"],
        ),
        # The same once more would end the same.
        (run("Failed", "EntryPointNotFound"), ["mlp delete wine"]),
    ],
)
def test_commands_to_go_on_with_fit_the_run_as_it_is(described, lines):
    commands = [line.partition(":")[2].strip() for line in advised(described) if ": " in line and "mlp " in line]

    assert commands == lines


def test_every_command_that_is_advised_is_one():
    from mlp.cli.application import COMMANDS  # noqa: PLC0415 -- only here

    described = [
        run("Running", "Running"),
        run("Suspended", "Suspended", spec={"suspend": True}),
        run("Running", "Running", spec={"shutdown": "Stop"}),
        run("Failed", "OOMKilled", mlflow={"runId": "abc"}, kubernetes={"podName": "p"}),
    ]
    calls = [line.split() for each in described for line in advised(each) if ": " in line and " mlp " in line]

    assert calls
    for words in calls:
        name, *arguments = words[words.index("mlp") + 1 :]
        COMMANDS[name].load().make_context(name, arguments).close()


@pytest.mark.parametrize(
    ("fields", "moment"),
    [
        ({"lastTimestamp": "2026-01-02T12:00:00Z", "count": 4}, (datetime(2026, 1, 2, 12, tzinfo=UTC), 4)),
        ({"eventTime": "2026-01-02T12:00:00.5Z"}, (datetime(2026, 1, 2, 12, 0, 0, 500000, tzinfo=UTC), 1)),
        (
            {"eventTime": "2026-01-02T12:00:00Z", "series": {"count": 9, "lastObservedTime": "2026-01-02T13:00:00Z"}},
            (datetime(2026, 1, 2, 13, tzinfo=UTC), 9),
        ),
        ({"lastTimestamp": None}, (datetime(1970, 1, 1, tzinfo=UTC), 1)),
    ],
)
def test_events_of_old_and_new_clients_are_read(fields, moment):
    event = read_event({"metadata": {}, "involvedObject": {"kind": "Pod", "name": "p"}, **fields})

    assert (event.moment, event.count) == moment


def test_a_run_is_described_with_the_events_that_the_cluster_has(runs):
    runs.create("wine")
    uid = runs.read("wine")["metadata"]["uid"]
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "wine-", "namespace": runs.namespace},
        "type": "Warning",
        "reason": "ProjectResolutionFailed",
        "message": "No such branch.",
        "lastTimestamp": at(5),
        "involvedObject": {
            "apiVersion": "mlp.dev/v1alpha1",
            "kind": "ProjectRun",
            "name": "wine",
            "namespace": runs.namespace,
            "uid": uid,
        },
    }
    runs.kubectl("create", "-f", "-", stdin=json.dumps(event))

    described = runs.mlp("describe", "wine")

    assert described.returncode == 0, described.stderr
    assert "no operator has looked at it yet" in described.stdout
    assert "Warning   ProjectResolutionFailed   projectrun/wine   No such branch." in described.stdout
    assert f"mlp cancel wine -n {runs.namespace}" in described.stdout
    assert "No such branch" not in runs.mlp("describe", "wine", "--no-events").stdout


def test_whoever_may_read_runs_alone_is_told_what_is_missing(runs, tmp_path):
    runs.create("wine")
    runs.kubectl("create", "serviceaccount", "reader")
    runs.kubectl("create", "role", "reads", "--verb=get,list,watch", "--resource=projectruns.mlp.dev")
    runs.kubectl("create", "rolebinding", "reads", "--role=reads", f"--serviceaccount={runs.namespace}:reader")
    config = yaml.safe_load(runs.cluster.kubeconfig.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": runs.kubectl("create", "token", "reader").strip()}}
                       for each in config["users"]]  # fmt: skip
    (tmp_path / "config").write_text(yaml.safe_dump(config))

    done = mlp("describe", "wine", "-n", runs.namespace, KUBECONFIG=str(tmp_path / "config"))

    assert done.returncode == 0
    assert "Name:         wine" in done.stdout
    assert "Warning: the events cannot be read. The cluster does not allow it" in done.stderr
