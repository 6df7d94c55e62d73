"""Runs that wait in a queue.

Kueue itself cannot be had here: its controller comes as an image of a registry. These tests play its published
behaviour, which is all on Job.spec.suspend: a Job with a queue's label is born suspended, admission sets suspend to
false, preemption sets it to true again (and takes the pods away: the Job's controller does that). Kueue's webhook would
suspend a Job that is not; ours already is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.e2e.installation import condition, outcome, wait_until

if TYPE_CHECKING:
    from tests.e2e.installation import Workspace

ADMITTED, PREEMPTED = '{"spec":{"suspend":false}}', '{"spec":{"suspend":true}}'


def job(space: Workspace, name: str) -> dict[str, Any]:
    """A run's Job."""
    found: dict[str, Any] = json.loads(space.kubectl("get", "job", name, "-o", "json"))
    return found


def queue_says(space: Workspace, name: str, patch: str) -> None:
    """What Kueue does to a Job, as itself: the field's manager is not ours."""
    space.kubectl("patch", "job", name, "--type=merge", "--field-manager=kueue", "-p", patch)


def await_queued(space: Workspace, name: str) -> dict[str, Any]:
    """Wait until a run waits for quota, and hold that this is how it looks."""
    run = space.await_phase(name, "Queued")
    succeeded = condition(run, "Succeeded")
    assert (succeeded["status"], succeeded["reason"]) == ("Unknown", "WaitingForQuota")
    assert condition(run, "Admitted")["status"] == "False"
    assert condition(run, "Reconciling")["status"] == "True"
    assert condition(run, "Suspended").get("status") != "True"
    return run


def test_a_queued_run_is_admitted_preempted_and_admitted_again(workspace: Workspace) -> None:
    space = workspace
    names = {"queueName": "team-a", "queuePriorityClassName": "prod"}
    space.apply(space.manifest("waits", "probe.git", entry_point="sleep", **names))
    await_queued(space, "waits")
    made = job(space, "waits")
    assert made["spec"]["suspend"] is True
    labels = made["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "team-a"
    assert labels["kueue.x-k8s.io/priority-class"] == "prod"
    assert space.names("pods") == []

    queue_says(space, "waits", ADMITTED)
    run = space.await_phase("waits", "Running")
    assert condition(run, "Admitted")["status"] == "True"

    queue_says(space, "waits", PREEMPTED)
    await_queued(space, "waits")
    wait_until("its pod is gone", lambda: space.names("pods") == [])
    assert job(space, "waits")["spec"]["suspend"] is True

    queue_says(space, "waits", ADMITTED)
    space.await_phase("waits", "Running")
    # All that ever wrote this field but its creator is the queue.
    fields = json.loads(space.kubectl("get", "job", "waits", "-o", "json", "--show-managed-fields"))["metadata"]
    writers = {each["manager"] for each in fields["managedFields"] if "f:suspend" in json.dumps(each["fieldsV1"])}
    assert writers == {"kueue"}
    space.patch("waits", shutdown="Stop")
    run = space.finish("waits")
    assert outcome(run) == ("Cancelled", "False", "Cancelled")
    # Nobody has tried it again: it was moved.
    assert run["status"]["attempts"] == 1
    watched = ("RunQueued", "RunAdmitted", "RunSuspended", "RunResumed", "RunFailed")
    told = [each for each in space.events("waits") if each in watched]
    assert told == ["RunQueued", "RunAdmitted"] * 2


def test_a_queued_run_can_be_held_and_ended(workspace: Workspace) -> None:
    space = workspace
    space.apply(*(space.manifest(name, "probe.git", queueName="team-a") for name in ("held", "ended")))
    await_queued(space, "held")
    await_queued(space, "ended")
    space.patch("ended", shutdown="Stop")
    space.patch("held", suspend=True)

    run = space.finish("ended")
    assert outcome(run) == ("Cancelled", "False", "Cancelled")
    assert "ended" not in space.names("jobs") or job(space, "ended")["spec"]["suspend"] is True

    run = space.await_phase("held", "Suspended")
    assert condition(run, "Suspended")["status"] == "True"
    space.patch("held", suspend=False)
    await_queued(space, "held")
    queue_says(space, "held", ADMITTED)
    assert outcome(space.finish("held")) == ("Succeeded", "True", "Succeeded")
