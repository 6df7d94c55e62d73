"""MLflow's record of a run tells the truth, however the run ends and whoever is away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.installation import condition, outcome, wait_until
from tests.servers.guarded_proxy import Mishap

if TYPE_CHECKING:
    from tests.e2e.installation import Installed, Workspace
    from tests.e2e.services import Tracking

PATIENCE = 150.0

PROJECT = {
    "MLproject": """\
name: tracked
entry_points:
  main:
    parameters:
      depth: {type: int, default: 3}
    command: "python tell.py {depth}"
  exit:
    parameters:
      code: int
      seconds: {type: float, default: 0}
    command: "sleep {seconds}; echo about to leave && exit {code}"
  sleep:
    parameters:
      seconds: {type: float, default: 300}
    command: "exec sleep {seconds}"
""",
    "tell.py": """\
import json, os
print("TOLD", json.dumps({key: value for key, value in os.environ.items() if key.startswith("MLFLOW_")}))
""",
}


@pytest.fixture
def tracked(workspace: Workspace, tracking: Tracking) -> Workspace:
    """A namespace with the tracking server's credentials in it, and the project."""
    workspace.host.publish("tracked.git", PROJECT)
    workspace.give_secret("mlflow", tracking.variables)
    return workspace


def manifest(space: Workspace, tracking: Tracking, name: str, entry_point: str = "main", **more: Any) -> dict[str, Any]:
    """A run that is recorded."""
    server = {"uri": tracking.uri, "secretRef": {"name": "mlflow"}}
    return space.manifest(name, "tracked.git", entry_point=entry_point, tracking=server, **more)


def recorded(space: Workspace, tracking: Tracking, name: str, *, uid: str | None = None) -> dict[str, Any]:
    """The one MLflow run of a run, there or not any more."""
    uid = uid or space.run(name)["metadata"]["uid"]
    found: list[dict[str, Any]] = wait_until(f"{name} is in MLflow", lambda: tracking.runs(uid), seconds=PATIENCE)
    assert len(found) == 1, found
    return found[0]


def await_state(space: Workspace, tracking: Tracking, name: str, state: str, *, uid: str | None = None) -> str:
    """Wait until MLflow says this of a run, longer than any pause between two attempts; the MLflow run's id."""
    run_id: str = recorded(space, tracking, name, uid=uid)["info"]["run_id"]
    wait_until(f"{name} is {state} in MLflow", lambda: tracking.state(run_id) == state, seconds=PATIENCE)
    return run_id


def test_mlflow_knows_each_end_of_a_run(tracked: Workspace, tracking: Tracking) -> None:
    space = tracked
    experiment = {"name": f"ends-{space.namespace}", "runName": "well named", "tags": [{"name": "who", "value": "ann"}]}
    bad = {"parameters": {"code": "3"}}
    again = {"parameters": {"code": "1", "seconds": "6"}, "backoffLimit": 1}
    space.apply(
        manifest(space, tracking, "good", experiment=experiment),
        manifest(space, tracking, "bad", "exit", **bad),
        manifest(space, tracking, "again", "exit", **again),
        manifest(space, tracking, "stopped", "sleep"),
        manifest(space, tracking, "deleted", "sleep"),
        manifest(space, tracking, "mistaken", "exit", parameters={"code": "three"}),
    )

    # While they run: RUNNING, and main knows its run.
    for name in ("stopped", "deleted"):
        space.await_phase(name, "Running")
        await_state(space, tracking, name, "RUNNING")
        wait_until(
            "its condition says so", lambda name=name: condition(space.run(name), "Tracked").get("status") == "True"
        )
    uid = space.run("deleted")["metadata"]["uid"]
    space.patch("stopped", shutdown="Stop")
    space.kubectl("delete", "projectrun", "deleted")

    good = space.finish("good")
    assert outcome(good)[0] == "Succeeded", good["status"]
    run_id = await_state(space, tracking, "good", "FINISHED")
    found = tracking.run(run_id)
    assert found["info"]["run_name"] == "well named"
    assert found["info"]["end_time"] >= found["info"]["start_time"]
    assert {each["key"]: each["value"] for each in found["data"]["params"]} == {"depth": "3"}
    tags = tracking.tags(run_id)
    assert tags["mlflow.source.git.commit"] == good["status"]["source"]["commit"]
    assert tags["mlflow.project.backend"] == "kubernetes"
    assert tags["who"] == "ann"
    told = json.loads(next(line for line in space.said("good").splitlines() if line.startswith("TOLD "))[5:])
    assert told == {
        "MLFLOW_TRACKING_URI": tracking.uri,
        "MLFLOW_RUN_ID": run_id,
        "MLFLOW_EXPERIMENT_ID": found["info"]["experiment_id"],
        **tracking.variables,
    }

    assert outcome(space.finish("bad"))[2] == "EntryPointFailed"
    tags = tracking.tags(await_state(space, tracking, "bad", "FAILED"))
    assert tags["mlp.reason"] == "EntryPointFailed"
    assert "exit code 3" in tags["mlp.message"]

    assert outcome(space.finish("again"))[2] == "BackoffLimitExceeded"
    assert space.run("again")["status"]["attempts"] == 2
    assert tracking.tags(await_state(space, tracking, "again", "FAILED"))["mlp.reason"] == "BackoffLimitExceeded"

    assert outcome(space.finish("stopped"))[0] == "Cancelled"
    await_state(space, tracking, "stopped", "KILLED")
    await_state(space, tracking, "deleted", "KILLED", uid=uid)
    wait_until("its pod is gone", lambda: not [each for each in space.names("pods") if each.startswith("deleted")])

    # What never ran: FAILED if it is there at all.
    mistaken = space.finish("mistaken")
    assert outcome(mistaken)[2] == "ParameterInvalid"
    assert {each["info"]["status"] for each in tracking.runs(mistaken["metadata"]["uid"])} <= {"FAILED"}

    # Each of the others has one MLflow run and no more, and none is left open.
    for name in ("good", "bad", "again", "stopped"):
        assert recorded(space, tracking, name)["info"]["end_time"]


def test_a_second_attempt_opens_the_record_again(tracked: Workspace, tracking: Tracking) -> None:
    space = tracked
    space.apply(manifest(space, tracking, "held", "sleep", backoffLimit=1))
    first = space.await_phase("held", "Running")
    run_id = await_state(space, tracking, "held", "RUNNING")
    # Suspended, no pod is at work: nothing looks busy, and nothing looks ended.
    space.patch("held", suspend=True)
    space.await_phase("held", "Suspended")
    assert await_state(space, tracking, "held", "SCHEDULED") == run_id
    space.patch("held", suspend=False)
    space.await_phase("held", "Running")
    assert await_state(space, tracking, "held", "RUNNING") == run_id
    # Nor does it end because its Job does, if another one follows.
    space.kubectl("delete", "job", "held")

    def anew() -> bool:
        status = space.run("held")["status"]
        again = status["kubernetes"].get("jobUid") != first["status"]["kubernetes"]["jobUid"]
        return again and status["attempts"] == 2 and status["phase"] == "Running"

    wait_until("it runs in a second Job", anew, seconds=120)
    assert await_state(space, tracking, "held", "RUNNING") == run_id
    assert "end_time" not in tracking.run(run_id)["info"]
    space.patch("held", shutdown="Stop")
    assert outcome(space.finish("held"))[0] == "Cancelled"
    assert await_state(space, tracking, "held", "KILLED") == run_id


def test_a_run_that_is_deleted_while_the_operator_is_away_is_closed_when_it_is_back(
    tracked: Workspace, tracking: Tracking, installed: Installed
) -> None:
    space = tracked
    space.apply(manifest(space, tracking, "orphan", "sleep"))
    space.await_phase("orphan", "Running")
    run_id = await_state(space, tracking, "orphan", "RUNNING")
    with installed.away():
        space.kubectl("delete", "projectrun", "orphan")

        def ended() -> bool:
            pods = json.loads(space.kubectl("get", "pods", "-o", "json"))["items"]
            states = [each["state"] for pod in pods for each in pod["status"].get("containerStatuses", ())]
            return all("terminated" in state for state in states)

        wait_until("its container has ended", ended)
        # Nobody could tell MLflow; the pod's object remembers whom to tell about.
        assert len(space.names("pods")) == 1
        assert tracking.state(run_id) == "RUNNING"
    wait_until("MLflow is told", lambda: tracking.state(run_id) == "KILLED")
    wait_until("no pod is left", lambda: space.names("pods") == [])
    assert tracking.run(run_id)["info"]["end_time"]


def test_a_run_goes_on_without_the_tracking_server_and_is_recorded_when_it_is_back(
    tracked: Workspace, tracking: Tracking
) -> None:
    space = tracked
    tracking.proxy.always = Mishap(status=503)
    server = {"uri": tracking.uri, "secretRef": {"name": "mlflow"}}
    space.apply(
        manifest(space, tracking, "early"),
        manifest(space, tracking, "long", "sleep", parameters={"seconds": "300"}),
        # A wrong password is nothing to wait for.
        space.manifest("denied", "tracked.git", tracking={**server, "secretRef": {"name": "wrong"}}),
    )
    space.give_secret("wrong", {"MLFLOW_TRACKING_USERNAME": "mia", "MLFLOW_TRACKING_PASSWORD": "not-this"})
    space.await_phase("long", "Running")
    early = space.finish("early")
    assert outcome(early)[0] == "Succeeded"
    for name in ("early", "long"):
        run = space.await_condition(name, "Tracked", "TrackingUnavailable")
        assert condition(run, "Tracked")["status"] != "True"
        assert tracking.uri in condition(run, "Tracked")["message"]
        assert tracking.runs(run["metadata"]["uid"]) == []

    tracking.proxy.always = None
    run_id = await_state(space, tracking, "early", "FINISHED")
    assert tracking.tags(run_id)["mlflow.source.git.commit"] == early["status"]["source"]["commit"]
    await_state(space, tracking, "long", "RUNNING")
    for name in ("early", "long"):
        wait_until(
            "its condition says so", lambda name=name: condition(space.run(name), "Tracked").get("status") == "True"
        )
        assert space.run(name)["status"]["mlflow"]["uri"] == tracking.uri
    space.patch("long", shutdown="Terminate")
    space.finish("long")
    await_state(space, tracking, "long", "KILLED")

    denied = space.await_condition("denied", "Tracked", "TrackingDenied")
    assert outcome(space.finish("denied"))[0] == "Succeeded"
    assert condition(denied, "Tracked")["status"] == "False"
    assert "not-this" not in json.dumps(denied)
