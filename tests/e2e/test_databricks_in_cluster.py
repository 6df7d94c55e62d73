"""Runs whose backend is Databricks: what is said of them is what happened there, and nothing is left at work there."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from mlp.resources import Reason, names
from tests.cluster import Missing, OwnCluster
from tests.e2e.installation import SYSTEM, condition, outcome, wait_until
from tests.e2e.killing import first_process, kill_one, running_containers
from tests.e2e.on_databricks import ACCOUNT, CLUSTER, ROBOT, TRUSTED, USER, await_gone, lakehouse_of, message_of, mlp
from tests.e2e.telling import await_event, await_reason, await_record
from tests.e2e.test_mission import command_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.e2e.installation import Installed, Workspace
    from tests.e2e.on_databricks import Lakehouse, Site
    from tests.e2e.services import Records

ODD: dict[str, str] = {
    "quotes": 'it\'s "quoted" `x` \\',
    "dollar": "$HOME ${X} $(id) {{job.run_id}}",
    "spaces": "  two  words\ttab\nline ",
    "unicode": "ü λ 🦊",
    "empty": "",
}

TOLD = {
    "MLproject": """\
name: told
entry_points:
  main:
    parameters:
      quotes: string
      dollar: string
      spaces: string
      unicode: string
      empty: string
    command: "python tell.py {quotes} {dollar} {spaces} {unicode} {empty}"
  exit:
    parameters:
      code: int
    command: "echo about to leave && exit {code}"
  sleep:
    command: "echo asleep && exec sleep 3000"
""",
    # As MLflow's client would tell it: a cluster's runtime has that, and to install it here takes half a minute.
    "tell.py": """\
import json, os, sys, time, urllib.request

print("ARGV", json.dumps(sys.argv[1:]))
server, run_id = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_RUN_ID"]
for step in range(3):
    told = {"run_id": run_id, "key": "slope", "value": step / 2, "step": step, "timestamp": int(time.time() * 1000)}
    headers = {"Content-Type": "application/json"}
    address = f"{server}/api/2.0/mlflow/runs/log-metric"
    request = urllib.request.Request(address, json.dumps(told).encode(), headers)
    urllib.request.urlopen(request, timeout=60).close()
print("ENVIRONMENT", dict(os.environ))
""",
}


@pytest.fixture
def space(workspace: Workspace) -> Workspace:
    """A namespace, with the project."""
    workspace.host.publish("told.git", TOLD)
    return workspace


def recorded_in(records: Records, **experiment: str) -> dict[str, Any]:
    """The fields of a run that is recorded."""
    return {"tracking": {"uri": records.uri}, **({"experiment": experiment} if experiment else {})}


# --- to the end -----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_projects_run_on_databricks_exactly_and_no_secret_goes_with_them(
    space: Workspace, lakehouse: Lakehouse, records: Records, installed: Installed
) -> None:
    example = {"subdirectory": "two_steps", "parameters": {"rows": "50"}, "backoffLimit": 1}
    greeting = {"subdirectory": "no_mlproject", "entry_point": "greet.py", "parameters": {"name": ODD["quotes"]}}
    space.apply(
        lakehouse.manifest(
            "exact",
            "told.git",
            parameters=ODD,
            backend=lakehouse.backend(tags=[{"name": "team", "value": "a"}]),
            **recorded_in(records, name=f"databricks-{space.namespace}", runName="well named"),
        ),
        lakehouse.manifest("example", "examples.git", **example, **recorded_in(records)),
        lakehouse.manifest("greeting", "examples.git", **greeting),
    )
    words = {lakehouse.token.encode(), space.host.password.encode()}
    seen: set[str] = set()

    def all_ended() -> bool:
        seen.update(command_lines(words))
        return all(space.run(name).get("status", {}).get("completionTime") for name in ("exact", "example", "greeting"))

    wait_until("all have ended", all_ended, seconds=240)
    for name in ("exact", "example", "greeting"):
        space.kubectl("wait", "--for=condition=Succeeded", f"projectrun/{name}", "--timeout=60s")
        run, there = space.run(name), lakehouse.only(name)
        assert outcome(run) == ("Succeeded", "True", "Succeeded"), run["status"]
        status = run["status"]
        assert status["databricks"]["runId"] == str(there["run_id"])
        assert status["databricks"]["token"] == there["body"]["idempotency_token"]
        assert status["databricks"]["state"] == "TERMINATED SUCCESS"
        assert status["databricks"]["runPageUrl"].startswith(f"{lakehouse.url}/")
        assert status["startTime"] <= status["completionTime"]
        assert status["attempts"] == 1
        assert "kubernetes" not in status
        await_event(space, name, "ProjectResolved", "DatabricksRunSubmitted", "RunSucceeded")
        wait_until("nothing holds it", lambda name=name: "finalizers" not in space.run(name)["metadata"])
        assert there["creator"] == USER
    assert space.names("jobs") == space.names("pods") == []

    # What they wrote is theirs: kept in their namespace, and as long as they are.
    said = {name: mlp(space, "logs", name) for name in ("exact", "example", "greeting")}
    [told] = [line for line in said["exact"].splitlines() if line.startswith("ARGV ")]
    assert json.loads(told[5:]) == list(ODD.values())
    assert "prepared 50 rows\n" in said["example"]
    assert "slope" in said["example"]
    assert f"Hello, {ODD['quotes']}!" in said["greeting"].splitlines()
    log = space.run("exact")["status"]["databricks"]["logConfigMapName"]
    kept = json.loads(space.kubectl("get", "configmap", log, "-o", "json"))
    assert [each["uid"] for each in kept["metadata"]["ownerReferences"]] == [space.run("exact")["metadata"]["uid"]]

    # MLflow's record: the operator's and the project's own words in one run.
    there = lakehouse.only("exact")
    assert there["body"]["tasks"][0]["new_cluster"]["custom_tags"] == {"team": "a"}
    found = records.run(await_record(records, space.run("exact"), "FINISHED"))
    assert found["info"]["run_name"] == "well named"
    tags = records.tags(found["info"]["run_id"])
    assert tags["mlflow.project.backend"] == "databricks"
    assert tags["mlflow.databricks.runURL"] == space.run("exact")["status"]["databricks"]["runPageUrl"]
    assert tags["mlflow.databricks.shellJobRunID"] == str(there["run_id"])
    assert tags["mlflow.source.git.commit"] == space.run("exact")["status"]["source"]["commit"]
    history = records.ask("GET", "metrics/get-history", run_id=found["info"]["run_id"], metric_key="slope")["metrics"]
    assert [each["value"] for each in history] == [0.0, 0.5, 1.0]
    assert {each["key"]: each["value"] for each in found["data"]["params"]} == ODD
    await_record(records, space.run("example"), "FINISHED")

    # Each password is only where it is of use.
    assert seen == set()
    places = {
        **dict(lakehouse.texts()),
        **said,
        "the operator's log": installed.logs(),
        "objects": space.kubectl("get", "projectruns,configmaps,events,pods,jobs", "-o", "json"),
        "system objects": space.cluster.kubectl(
            "-n", SYSTEM, "get", "pods,configmaps,events,deployments", "-o", "json"
        ),
        "MLflow": json.dumps(found),
    }
    assert any(place.endswith("!tell.py") for place in places), sorted(places)  # archives were looked into
    for password in (lakehouse.token, space.host.password):
        for form in (password, base64.b64encode(password.encode()).decode()):
            assert [place for place, text in places.items() if form in text] == []


def test_a_directory_of_this_machine_runs_on_databricks(space: Workspace, lakehouse: Lakehouse, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "MLproject").write_text(
        'name: sent\nentry_points:\n  main:\n    command: "echo from here; cat data/notes"\n'
    )
    (tree / "data").mkdir()
    (tree / "data/notes").write_text("mine alone\n")
    given = ("--databricks-host", lakehouse.url, "--databricks-secret", "dbc", "--cluster-spec", json.dumps(CLUSTER))
    said = mlp(space, "submit", str(tree), "--name", "sent", *given, "--logs")
    assert said.splitlines()[-2:] == ["from here", "mine alone"]
    run = space.run("sent")
    assert outcome(run) == ("Succeeded", "True", "Succeeded")
    assert run["status"]["source"]["sha256"] == run["spec"]["project"]["bundle"]["sha256"]
    uid = run["metadata"]["uid"]
    kept = json.loads(space.kubectl("get", "configmaps", "-o", "json"))["items"]
    owners = [each["metadata"].get("ownerReferences", [{}])[0].get("uid") for each in kept]
    assert owners.count(uid) == 2  # the bundle, and what it wrote


# --- by which right -------------------------------------------------------------------------------------------------


def test_each_way_of_authentication_leads_in(
    space: Workspace, databricks_site: Site, installed: Installed, tmp_path: Path
) -> None:
    with lakehouse_of(databricks_site, space, tmp_path / "databricks") as lakehouse:
        authenticated(space, lakehouse, installed)


def authenticated(space: Workspace, lakehouse: Lakehouse, installed: Installed) -> None:
    """Hold what each way leads to."""
    space.give_secret("robot", {"host": lakehouse.url, "clientId": ROBOT, "clientSecret": lakehouse.client_secret})
    space.kubectl("create", "serviceaccount", ACCOUNT)
    space.kubectl("create", "serviceaccount", "stranger")
    lakehouse.script(".*", instant=0, logs="as it should be\n")
    federated = {"auth": "WorkloadIdentity", "secretRef": None, "clientId": TRUSTED}
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "token": (USER, {"auth": "Token"}),
        "oauth": (ROBOT, {"auth": "OAuthM2M", "host": None, "secretRef": {"name": "robot"}}),
        "identity": (TRUSTED, {**federated, "serviceAccountName": ACCOUNT}),
        "stranger": ("", {**federated, "serviceAccountName": "stranger"}),
        "elsewhere": ("", {**federated, "serviceAccountName": ACCOUNT, "audience": "somebody-else"}),
    }
    space.apply(*(lakehouse.manifest(name, backend=lakehouse.backend(**how)) for name, (_, how) in ways.items()))
    for name, (identity, _) in ways.items():
        run = space.finish(name)
        if not identity:
            assert outcome(run) == ("Failed", "False", Reason.WORKSPACE_DENIED), run["status"]
            assert lakehouse.runs(name) == []
            continue
        assert outcome(run) == ("Succeeded", "True", "Succeeded"), run["status"]
        there = lakehouse.only(name)
        assert (there["creator"], there["run_as"]) == (identity, identity)
        assert mlp(space, "logs", name) == "as it should be\n"
    # A ServiceAccount's token comes from the API server, and lies nowhere.
    assert {each["identity"] for each in lakehouse.program.call("issued")} == {ROBOT, TRUSTED}
    assert sorted(space.names("secrets")) == ["dbc", "git-creds", "robot"]
    places = {
        **dict(lakehouse.texts()),
        "the operator's log": installed.logs(),
        "objects": space.kubectl("get", "projectruns,configmaps,events", "-o", "json"),
    }
    for secret in (lakehouse.token, lakehouse.client_secret, "eyJhbGci"):  # how every such token begins
        assert [place for place, text in places.items() if secret in text] == []


def test_a_workspace_that_refuses_the_credentials_is_told(
    space: Workspace, lakehouse: Lakehouse, records: Records
) -> None:
    lakehouse.script(".*", instant=0)
    space.give_secret("wrong", {"token": "dapi-not-this-one"})
    space.apply(
        lakehouse.manifest(
            "wrong", backend=lakehouse.backend(secretRef={"name": "wrong"}), backoffLimit=3, **recorded_in(records)
        ),
        lakehouse.manifest("late", backend=lakehouse.backend(secretRef={"name": "late"}), **recorded_in(records)),
    )
    run = space.finish("wrong")
    assert outcome(run) == ("Failed", "False", Reason.WORKSPACE_DENIED), run["status"]
    assert "dapi-not-this-one" not in json.dumps(run)
    await_event(space, "wrong", "RunFailed")
    await_record(records, run, "FAILED")
    # One that is not there yet is waited for, as GitOps tools bring things in any order.
    run = await_reason(space, "late", Reason.WORKSPACE_UNAVAILABLE)
    assert "there is no Secret late" in message_of(run)
    assert outcome(run)[:2] == ("Pending", "Unknown")
    space.give_secret("late", {"token": lakehouse.token})
    assert outcome(space.finish("late"))[0] == "Succeeded"


def test_what_a_workspace_does_not_take_is_told(space: Workspace, lakehouse: Lakehouse, records: Records) -> None:
    flawed = {name: value for name, value in CLUSTER.items() if name != "node_type_id"}
    space.apply(
        lakehouse.manifest("flawed", backend=lakehouse.backend(cluster={"newCluster": flawed}), **recorded_in(records)),
        lakehouse.manifest("absent", backend=lakehouse.backend(cluster={"existingClusterId": "0101-no-such"})),
    )
    for name, word in (("flawed", "node_type_id"), ("absent", "0101-no-such")):
        run = space.finish(name)
        assert outcome(run) == ("Failed", "False", Reason.WORKSPACE_REFUSED), run["status"]
        assert word in message_of(run)
        await_event(space, name, "ProjectResolved", "RunFailed")
        assert lakehouse.runs(name) == []
        wait_until("nothing holds it", lambda name=name: "finalizers" not in space.run(name)["metadata"])
    await_record(records, space.run("flawed"), "FAILED")


# --- what is said of it ---------------------------------------------------------------------------------------------


def test_each_stage_of_a_run_on_databricks_is_told(space: Workspace, lakehouse: Lakehouse, records: Records) -> None:
    lakehouse.script("staged", queued=None, pending=None, hold=True, logs="done\n")
    space.apply(lakehouse.manifest("staged", "told.git", entry_point="sleep", **recorded_in(records)))
    for phase, reason, state, event in (
        ("Queued", Reason.WAITING_FOR_COMPUTE, "SCHEDULED", "DatabricksRunSubmitted"),
        ("Preparing", Reason.WAITING_FOR_COMPUTE, "SCHEDULED", "DatabricksRunSubmitted"),
        ("Running", Reason.RUNNING, "RUNNING", "RunStarted"),
    ):
        run = space.await_phase("staged", phase)
        assert outcome(run) == (phase, "Unknown", reason)
        assert condition(run, "Reconciling")["status"] == "True"
        assert run["metadata"]["finalizers"] == [names.DATABRICKS_FINALIZER]
        await_event(space, "staged", event)
        await_record(records, run, state)
        lakehouse.release("staged")
    run = space.finish("staged")
    assert outcome(run) == ("Succeeded", "True", Reason.SUCCEEDED)
    await_record(records, run, "FINISHED")


@dataclass
class End:
    """One way to end.

    Attributes:
        phase: The run's phase then.
        reason: Its reason.
        says: What its message has in it.
        script: What happens to its runs instead of its task.
        spec: Fields of the ProjectRun.
        submissions: How often it was submitted; None: it depends on how busy this machine is.
        meanwhile: What the test does once it runs.
    """

    phase: str
    reason: Reason
    says: list[str] = field(default_factory=list)
    script: dict[str, Any] | None = None
    spec: dict[str, Any] = field(default_factory=dict)
    submissions: int | None = 1
    meanwhile: Callable[[Lakehouse, dict[str, Any]], object] | None = None

    @property
    def repository(self) -> str:
        return "told.git" if "entry_point" in self.spec else "probe.git"


FAILING: dict[str, Any] = {"entry_point": "exit", "parameters": {"code": "3"}}
ENDS = {
    "fails": End(
        "Failed", Reason.ENTRY_POINT_FAILED, ["exit status 3", "The end of its log:\nabout to leave"], spec=FAILING
    ),
    "serverless": End(
        "Failed", Reason.ENTRY_POINT_FAILED, ["exit status 3"], script={"internal_error": True}, spec=FAILING
    ),
    "twice": End(
        "Failed",
        Reason.BACKOFF_LIMIT_EXCEEDED,
        ["All 2 attempts", "exit status 3"],
        spec={**FAILING, "backoffLimit": 1},
        submissions=2,
    ),
    "recovers": End("Succeeded", Reason.SUCCEEDED, script={"instant": 0}, spec={"backoffLimit": 3}, submissions=2),
    "skipped": End("Failed", Reason.RUN_SKIPPED, ["SKIPPED"], script={"ending": "SKIPPED"}),
    "broken": End("Failed", Reason.WORKSPACE_FAILED, ["Unexpected failure"], script={"ending": "INTERNAL_ERROR"}),
    "no-cluster": End("Failed", Reason.WORKSPACE_FAILED, ["out of instances"], script={"ending": "CLOUD_FAILURE"}),
    "timed-out": End(
        "Failed",
        Reason.DEADLINE_EXCEEDED,
        ["spec.backend.databricks.timeoutSeconds (2)"],
        script={"hold": True},
    ),
    "overdue": End(
        "Failed",
        Reason.DEADLINE_EXCEEDED,
        ["spec.activeDeadlineSeconds"],
        script={"hold": True},
        spec={"activeDeadlineSeconds": 2},
    ),
    "never-starts": End(
        "Failed",
        Reason.PENDING_DEADLINE_EXCEEDED,
        ["spec.pendingDeadlineSeconds"],
        script={"pending": None},
        spec={"pendingDeadlineSeconds": 10},
        submissions=None,
    ),
    "lost": End(
        "Failed",
        Reason.RUN_LOST,
        ["not known there any more"],
        script={"hold": True},
        meanwhile=lambda lakehouse, there: lakehouse.program.call("forget", run_id=there["run_id"]),
    ),
    "elsewhere": End(
        "Cancelled",
        Reason.CANCELLED,
        ["not by mlp"],
        script={"hold": True},
        meanwhile=lambda lakehouse, there: lakehouse.ask("POST", "cancel", run_id=there["run_id"]),
    ),
}
OF_PHASES = {"Succeeded": "FINISHED", "Failed": "FAILED", "Cancelled": "KILLED"}


@pytest.mark.timeout(600)
def test_each_end_on_databricks_is_told_and_recorded(space: Workspace, lakehouse: Lakehouse, records: Records) -> None:
    lakehouse.script("recovers", number=1, ending="FAILED")
    for name, end in ENDS.items():
        if end.script is not None:
            lakehouse.script(name, **end.script)
    limited = lakehouse.backend(timeoutSeconds=2)
    space.apply(
        *(
            lakehouse.manifest(name, end.repository, **end.spec, **recorded_in(records))
            for name, end in ENDS.items()
            if name != "timed-out"
        ),
        lakehouse.manifest("timed-out", backend=limited, **recorded_in(records)),
    )
    for name, end in ENDS.items():
        if end.meanwhile is not None:
            space.await_phase(name, "Running")
            end.meanwhile(lakehouse, lakehouse.only(name))
    for name, end in ENDS.items():
        run = space.finish(name, seconds=150)
        assert outcome(run) == (end.phase, "True" if end.phase == "Succeeded" else "False", end.reason), run["status"]
        assert [word for word in end.says if word not in message_of(run)] == [], (name, message_of(run))
        if end.submissions is not None:
            there = lakehouse.runs(name)
            assert len(there) == run["status"]["attempts"] == end.submissions, name
            assert len({each["body"]["idempotency_token"] for each in there}) == end.submissions
            assert run["status"]["databricks"]["runId"] == str(there[-1]["run_id"])
        wait_until("nothing holds it", lambda name=name: "finalizers" not in space.run(name)["metadata"])
        await_record(records, run, OF_PHASES[end.phase])
    for name, event in (
        ("fails", "RunFailed"),
        ("timed-out", "DeadlineExceeded"),
        ("overdue", "DeadlineExceeded"),
        ("lost", "RunFailed"),
        ("elsewhere", "RunCancelled"),
    ):
        await_event(space, name, "DatabricksRunSubmitted", event)
    await_event(space, "never-starts", "DeadlineExceeded")
    await_event(space, "recovers", "RunRetrying", "RunSucceeded")
    said = mlp(space, "logs", "fails")
    assert said.splitlines()[0] == "about to leave"
    assert "exit status 3" in said
    assert lakehouse.url in said  # the run's page


def test_a_cancelled_run_has_ended_on_databricks_before_it_is_said(
    space: Workspace, lakehouse: Lakehouse, records: Records
) -> None:
    lakehouse.script("cancelled", hold=True, logs="so far\n")
    lakehouse.script("deleted", hold=True)
    space.apply(
        *(lakehouse.manifest(name, **recorded_in(records)) for name in ("cancelled", "deleted")),
        lakehouse.manifest("at-work", "told.git", entry_point="sleep", **recorded_in(records)),
    )
    for name in ("cancelled", "deleted", "at-work"):
        await_record(records, space.await_phase(name, "Running"), "RUNNING")
    deleted = space.run("deleted")
    with lakehouse.ending_slowly("cancelled", "deleted", "at-work"):
        mlp(space, "cancel", "cancelled", "at-work")
        space.kubectl("delete", "projectrun", "deleted", "--wait=false")
        for name in ("cancelled", "at-work"):
            run = await_reason(space, name, Reason.ENDING)
            assert outcome(run)[:2] == ("Running", "Unknown")

        def all_asked() -> bool:
            return all(lakehouse.only(name)["cancel"] for name in ("cancelled", "deleted", "at-work"))

        wait_until("Databricks was asked to cancel all of them", all_asked)
        wait_until(
            "nothing of its task is left",
            lambda: not lakehouse.program.call("processes", run_id=lakehouse.only("at-work")["run_id"]),
        )
        for name in ("cancelled", "at-work"):
            assert "completionTime" not in space.run(name)["status"]
        assert space.run("deleted")["metadata"]["finalizers"] == [names.DATABRICKS_FINALIZER]
    for name in ("cancelled", "at-work"):
        run = space.finish(name)
        assert outcome(run) == ("Cancelled", "False", Reason.CANCELLED)
        assert lakehouse.only(name)["ending"]["result"] == "CANCELED"
        await_event(space, name, "DatabricksRunCancelled", "RunCancelled")
        await_record(records, run, "KILLED")
    await_gone(space, "deleted")
    assert lakehouse.only("deleted")["ending"]["result"] == "CANCELED"
    await_record(records, deleted, "KILLED")
    assert mlp(space, "logs", "cancelled") == "so far\n"


def test_a_run_on_databricks_can_be_held_and_is_submitted_anew(
    space: Workspace, lakehouse: Lakehouse, records: Records
) -> None:
    lakehouse.script("held", hold=True)
    lakehouse.script("waits", instant=0)
    space.apply(
        lakehouse.manifest("held", **recorded_in(records)),
        lakehouse.manifest("waits", suspend=True, **recorded_in(records)),
    )
    space.await_phase("held", "Running")
    space.patch("held", suspend=True)
    for name in ("held", "waits"):
        run = space.await_phase(name, "Suspended")
        assert condition(run, "Suspended")["status"] == "True"
    assert lakehouse.runs("waits") == []
    assert lakehouse.only("held")["ending"]["result"] == "CANCELED"
    run_id = await_record(records, space.run("held"), "SCHEDULED")
    for name in ("held", "waits"):
        space.patch(name, suspend=False)
    run = space.await_phase("held", "Running")
    assert run["status"]["attempts"] == 1
    assert run["status"]["databricks"]["attempt"] == 2
    lakehouse.release("held")
    for name, submissions in (("held", 2), ("waits", 1)):
        run = space.finish(name)
        assert outcome(run) == ("Succeeded", "True", Reason.SUCCEEDED)
        assert len(lakehouse.runs(name)) == submissions
        await_record(records, run, "FINISHED")
    assert await_record(records, space.run("held"), "FINISHED") == run_id
    await_event(space, "held", "RunStarted", "RunSuspended", "RunResumed", "RunSucceeded")


# --- what goes wrong on the way -------------------------------------------------------------------------------------


def test_a_workspace_that_is_away_is_waited_for(space: Workspace, lakehouse: Lakehouse, records: Records) -> None:
    lakehouse.script("begun", hold=True)
    lakehouse.script("new", instant=0)
    space.apply(lakehouse.manifest("begun", **recorded_in(records)))
    space.await_phase("begun", "Running")
    with lakehouse.away():
        space.apply(lakehouse.manifest("new", **recorded_in(records)))
        run = await_reason(space, "new", Reason.WORKSPACE_UNAVAILABLE)
        assert outcome(run)[:2] == ("Pending", "Unknown")
        assert lakehouse.url in message_of(run)
        # One that is there is left alone, and after half a minute it is said that nobody sees it.
        run = await_reason(space, "begun", Reason.WORKSPACE_UNAVAILABLE)
        assert outcome(run)[:2] == ("Running", "Unknown")
        assert run["status"]["databricks"]["statusCheckFailureTime"]
    run = await_reason(space, "begun", Reason.RUNNING)
    assert "statusCheckFailureTime" not in run["status"]["databricks"]
    lakehouse.release("begun")
    for name in ("begun", "new"):
        run = space.finish(name, seconds=240)
        assert outcome(run) == ("Succeeded", "True", Reason.SUCCEEDED)
        assert lakehouse.only(name)["ending"]["result"] == "SUCCESS"
        await_record(records, run, "FINISHED")


@pytest.mark.timeout(600)
def test_a_run_whose_state_nobody_can_read_is_given_up(
    space: Workspace, lakehouse: Lakehouse, records: Records, installed: Installed
) -> None:
    lakehouse.script(".*", hold=True)
    space.apply(lakehouse.manifest("given-up", **recorded_in(records)))
    space.await_phase("given-up", "Running")
    with lakehouse.away(), installed.with_setting("MLP_DATABRICKS_STATUS_TIMEOUT", "3"):
        run = space.finish("given-up")
        assert outcome(run) == ("Failed", "False", Reason.STATUS_CHECK_TIMEOUT), run["status"]
        assert str(run["status"]["databricks"]["runId"]) in message_of(run)
        await_event(space, "given-up", "RunFailed")
        await_record(records, run, "FAILED")
    # It may be at work still, and is not forgotten: it is ended there before its ProjectRun goes.
    assert lakehouse.only("given-up")["phase"] == "executing"
    assert space.run("given-up")["metadata"]["finalizers"] == [names.DATABRICKS_FINALIZER]
    space.kubectl("delete", "projectrun", "given-up", "--wait=false")
    await_gone(space, "given-up")
    assert lakehouse.only("given-up")["ending"]["result"] == "CANCELED"


@pytest.mark.timeout(600)
def test_an_operator_that_is_killed_loses_and_doubles_no_run(
    space: Workspace, lakehouse: Lakehouse, records: Records, installed: Installed, cluster: Cluster
) -> None:
    if not isinstance(cluster, OwnCluster):
        raise Missing("processes in containers can be killed from here only in the suite's own cluster")
    lakehouse.script("running", hold=True)
    lakehouse.script("ending", hold=True)
    lakehouse.script("submitting", instant=0)
    lakehouse.script("undone", hold=True)
    space.apply(*(lakehouse.manifest(name, **recorded_in(records)) for name in ("running", "ending")))
    for name in ("running", "ending"):
        space.await_phase(name, "Running")
    # Two are there, and whoever submitted them does not hear of it before it is killed.
    lakehouse.program.call("faults/add", kind="hang", path="/jobs/runs/submit", method="POST", after=True, times=2)
    space.apply(*(lakehouse.manifest(name, **recorded_in(records)) for name in ("submitting", "undone")))
    wait_until("both are there", lambda: lakehouse.runs("submitting") and lakehouse.runs("undone"), seconds=150)
    with lakehouse.ending_slowly("ending"):
        space.patch("ending", shutdown="Stop")
        wait_until("Databricks was asked to cancel it", lambda: lakehouse.only("ending")["cancel"])
        before = restarts(cluster)
        kill_operator(cluster)
        space.kubectl("delete", "projectrun", "undone", "--wait=false")
        wait_until("it was started again", lambda: restarts(cluster) > before, seconds=180)
        lakehouse.program.call("faults/clear")
        installed.wait_ready()
        assert outcome(space.run("ending"))[:2] == ("Running", "Unknown")
    assert outcome(space.finish("ending", seconds=150)) == ("Cancelled", "False", Reason.CANCELLED)
    lakehouse.release("running")
    for name in ("running", "submitting"):
        run = space.finish(name, seconds=150)
        assert outcome(run) == ("Succeeded", "True", Reason.SUCCEEDED), run["status"]
        assert run["status"]["attempts"] == 1
        assert run["status"]["databricks"]["runId"] == str(lakehouse.only(name)["run_id"])
        await_record(records, run, "FINISHED")
    await_gone(space, "undone")
    assert lakehouse.only("undone")["ending"]["result"] == "CANCELED"
    await_record(records, space.run("ending"), "KILLED")
    assert len(lakehouse.runs("ending")) == 1


def kill_operator(cluster: Cluster) -> None:
    """kill -9."""
    found = json.loads(cluster.kubectl("-n", SYSTEM, "get", "pods", "-o", "json"))["items"]
    containers = [container for pod in found for container in running_containers(pod).values()]
    processes = [process for container in containers for process in first_process(container)]
    assert kill_one(processes, random.Random())


def restarts(cluster: Cluster) -> int:
    """How often the operator's container was started again."""
    found = json.loads(cluster.kubectl("-n", SYSTEM, "get", "pods", "-o", "json"))["items"]
    return sum(each["restartCount"] for pod in found for each in pod["status"].get("containerStatuses", ()))
