"""Each row of the state table on a cluster: `kubectl wait` sees it, an event tells it, and MLflow says the same."""

from __future__ import annotations

import ast
import base64
import functools
import hashlib
import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mlp.resources import Reason, names
from tests.cluster import SERVICE_IPS, Missing, OwnCluster
from tests.e2e.installation import REPOSITORY, condition, outcome, wait_until
from tests.e2e.killing import first_process, kill_one, running_containers
from tests.e2e.state_table import OF_OTHER_CONDITIONS, OF_OTHER_VERSIONS, RECORDING, ROWS
from tests.e2e.telling import await_event, await_reason, await_record
from tests.e2e.volumes import claim, writable
from tests.servers import git_http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster
    from tests.e2e.installation import GitHost, Workspace
    from tests.e2e.services import Tracking
    from tests.servers.git_http import GitServer

HERE = Path(__file__).parent
TESTS = {reason: test for row in ROWS.values() for reason, test in row.items()}

ENDS = {
    "MLproject": """\
name: ends
entry_points:
  main:
    command: "true"
  exit:
    command: "exit 1"
  eat:
    command: "python -c 'b = [bytearray(1 << 24) for _ in range(64)]'"
  fill:
    command: "head -c 100000000 /dev/zero > /tmp/zeros; exec sleep 300"
  sleep:
    command: "exec sleep 300"
""",
}

SLOW = {
    "MLproject": 'name: slow\npython_env: python_env.yaml\nentry_points:\n  main:\n    command: "sleep 5"\n',
    "python_env.yaml": "dependencies: [./waits]\n",
    "waits/pyproject.toml": """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "waits"
version = "1.0"
""",
    # A build that goes on until the test lets it.
    "waits/backend.py": """\
import os, time, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    for _ in range(1200):
        if os.path.exists("/mlp/envs/go"):
            break
        time.sleep(0.1)
    name, info = "waits-1.0-py3-none-any.whl", "waits-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("waits.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: waits\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", f"waits.py,,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
    return name
""",
}


# --- the table itself -----------------------------------------------------------------------------------------------


def test_every_reason_of_a_run_has_its_row() -> None:
    assert len(TESTS) == sum(map(len, ROWS.values()))
    assert set(Reason) == {*TESTS, *RECORDING} | OF_OTHER_CONDITIONS | OF_OTHER_VERSIONS


def test_what_the_reference_says_of_reasons_is_what_is_tested() -> None:
    text = (REPOSITORY / "docs/projectrun.md").read_text()
    table = text.partition("### Reasons")[2].partition("Besides,")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(TESTS)
    of_tracked = text.partition("| Reason of `Tracked`")[2].partition("### Events")[0]
    assert set(re.findall(r"^\| `(\w+)`", of_tracked, re.MULTILINE)) == {
        *RECORDING,
        Reason.TRACKING_DENIED,
        Reason.TRACKING_NOT_FOUND,
    }


@pytest.mark.parametrize("reason", [*TESTS, *RECORDING])
def test_the_test_of_a_row_is_there_and_looks_for_it(reason: str) -> None:
    file, _, name = (TESTS | RECORDING)[reason].partition("::")
    tree = ast.parse((HERE / file).read_text())
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    # Somewhere in its file the reason is named; RECORDED and PENDING are the status of the condition.
    words = {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)}
    by_name = {each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute)}
    assert str(reason) in words or Reason(reason).name in by_name or reason in (Reason.RECORDED, Reason.PENDING)


# --- what its rows have in common -----------------------------------------------------------------------------------


@pytest.fixture
def recorded(workspace: Workspace, tracking: Tracking) -> Workspace:
    """A namespace with the tracking server's credentials in it, and the project."""
    workspace.host.publish("ends.git", ENDS)
    workspace.give_secret("mlflow", tracking.variables)
    return workspace


def record_in(tracking: Tracking, **experiment: str) -> dict[str, Any]:
    """The fields of a run that is recorded."""
    server = {"uri": tracking.uri, "secretRef": {"name": "mlflow"}}
    return {"tracking": server, **({"experiment": experiment} if experiment else {})}


# --- the rows -------------------------------------------------------------------------------------------------------


def test_further_mistakes_are_told_before_any_job_exists(recorded: Workspace, tracking: Tracking) -> None:
    space = recorded
    space.host.publish("flawed.git", {"MLproject": "name: [no name\n"})
    gone = f"gone-{space.namespace}"
    experiment = tracking.ask("POST", "experiments/create", name=gone)["experiment_id"]
    tracking.ask("POST", "experiments/delete", experiment_id=experiment)
    space.give_secret("wrong", {"MLFLOW_TRACKING_USERNAME": "mia", "MLFLOW_TRACKING_PASSWORD": "not-this"})
    mounts = [{"name": "main", "volumeMounts": [{"name": "mine", "mountPath": "/mlp/envs/mine"}]}]
    pod = {"containers": mounts, "volumes": [{"name": "mine", "emptyDir": {}}]}
    mistaken: dict[Reason, dict[str, Any]] = {
        Reason.INVALID_SPEC: space.manifest(
            "spec",
            "ends.git",
            backend={"type": "Kubernetes", "kubernetes": {"podTemplate": {"spec": pod}}},
            **record_in(tracking),
        ),
        Reason.SOURCE_INVALID: space.manifest("source", "ends.git", **record_in(tracking)),
        Reason.PROJECT_INVALID: space.manifest("project", "flawed.git", **record_in(tracking)),
        Reason.TRACKING_NOT_FOUND: space.manifest("experiment", "ends.git", **record_in(tracking, name=gone)),
        Reason.TRACKING_DENIED: space.manifest(
            "denied", "ends.git", tracking={"uri": tracking.uri, "secretRef": {"name": "wrong"}}
        ),
    }
    no_archive = b"not an archive"
    bundle = {"configMapName": "bundle", "sha256": hashlib.sha256(no_archive).hexdigest()}
    mistaken[Reason.SOURCE_INVALID]["spec"]["project"] = {"bundle": bundle}
    content = {names.BUNDLE_KEY: base64.b64encode(no_archive).decode()}
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bundle"}, "binaryData": content}
    space.apply(kept, *mistaken.values())
    for reason, each in mistaken.items():
        name = each["metadata"]["name"]
        run = space.finish(name)
        assert outcome(run) == ("Failed", "False", reason), run["status"]
        assert condition(run, "Stalled")["reason"] == reason
        await_event(space, name, "RunFailed")
        assert {found["info"]["status"] for found in tracking.runs(run["metadata"]["uid"])} <= {"FAILED"}
    assert space.names("jobs") == []


def test_a_server_that_cannot_be_reached_is_waited_for(recorded: Workspace, tracking: Tracking) -> None:
    space = recorded
    made = space.manifest("waits", "ends.git", **record_in(tracking))
    made["spec"]["project"]["uri"] = f"http://{SERVICE_IPS[3]}:9/ends.git"  # nobody listens
    space.apply(made)
    run = await_reason(space, "waits", Reason.SOURCE_UNAVAILABLE)
    assert outcome(run)[:2] == ("Resolving", "Unknown")
    assert condition(run, "Reconciling")["status"] == "True"
    space.patch("waits", shutdown="Stop")
    run = space.finish("waits")
    assert outcome(run) == ("Cancelled", "False", "Cancelled")
    await_event(space, "waits", "RunCancelled")
    assert space.names("jobs") == []
    assert {found["info"]["status"] for found in tracking.runs(run["metadata"]["uid"])} <= {"KILLED"}


def test_a_job_that_a_quota_refuses_is_tried_again(recorded: Workspace, tracking: Tracking) -> None:
    space = recorded
    space.kubectl("create", "quota", "no-jobs", "--hard=count/jobs.batch=0")
    space.apply(space.manifest("refused", "ends.git", **record_in(tracking)))
    run = await_reason(space, "refused", Reason.JOB_REFUSED)
    assert outcome(run)[:2] == ("Pending", "Unknown")
    await_event(space, "refused", "ProjectResolved")
    await_record(tracking, run, "SCHEDULED")
    space.kubectl("delete", "quota", "no-jobs")
    assert outcome(space.finish("refused"))[0] == "Succeeded"
    await_record(tracking, run, "FINISHED")


@pytest.fixture
def slow_git(git_host: GitHost) -> Iterator[GitServer]:
    """A Git server that keeps its answers when it is told to."""
    git_host.publish("slow.git", SLOW)
    with git_http.serving(git_host.root) as server:
        yield server


@pytest.mark.timeout(600)
def test_each_stage_of_a_slow_start_is_told(
    recorded: Workspace, tracking: Tracking, cluster: Cluster, slow_git: GitServer, tmp_path: Path
) -> None:
    if not isinstance(cluster, OwnCluster):
        raise Missing("processes in containers can be killed from here only in the suite's own cluster")
    space = recorded
    cache = writable(tmp_path / "envs")
    address = f"http://{cluster.publish(slow_git.server_address[1])}/slow.git"

    def manifest(name: str, **more: Any) -> dict[str, Any]:
        # The tests' queue is the test itself: it says when the Job may start.
        made = space.manifest(name, "slow.git", queueName="team-a", **record_in(tracking), **more)
        made["spec"]["project"]["uri"] = address
        return made

    with claim(space, "envs", cache):
        slow_git.hold()
        space.apply(manifest("slow", environment={"cache": {"volumeClaimName": "envs"}}))
        run = await_reason(space, "slow", Reason.RESOLVING)
        assert outcome(run)[:2] == ("Resolving", "Unknown")
        slow_git.halt()
        space.apply(manifest("broken", environment={"manager": "Local"}))

        for name in ("slow", "broken"):
            run = await_reason(space, name, Reason.WAITING_FOR_QUOTA)
            assert outcome(run)[:2] == ("Queued", "Unknown")
            await_event(space, name, "ProjectResolved", "RunQueued")
            await_record(tracking, run, "SCHEDULED")
        slow_git.hold()
        for name in ("slow", "broken"):
            space.kubectl("patch", "job", name, "--type=merge", "-p", '{"spec":{"suspend":false}}')
            run = await_reason(space, name, Reason.FETCHING)
            assert outcome(run)[:2] == ("Preparing", "Unknown")
            await_event(space, name, "RunAdmitted")
            await_record(tracking, run, "SCHEDULED")

        # An init container that is killed says nothing of its own.
        pod = json.loads(space.kubectl("get", "pod", space.pod("broken"), "-o", "json"))
        [container] = running_containers(pod).values()
        assert kill_one(first_process(container), random.Random())
        run = space.finish("broken")
        assert outcome(run) == ("Failed", "False", Reason.PREPARATION_FAILED)
        assert "exit code 137" in condition(run, "Succeeded")["message"]
        await_event(space, "broken", "RunFailed")
        await_record(tracking, run, "FAILED")

        slow_git.halt()
        run = await_reason(space, "slow", Reason.BUILDING_ENVIRONMENT)
        assert outcome(run)[:2] == ("Preparing", "Unknown")
        await_record(tracking, run, "SCHEDULED")
        (cache / "go").touch()
        run = await_reason(space, "slow", Reason.RUNNING)
        await_event(space, "slow", "RunStarted")
        space.kubectl("wait", "--for=condition=Succeeded", "projectrun/slow", "--timeout=90s")
        run = space.run("slow")
        assert outcome(run) == ("Succeeded", "True", Reason.SUCCEEDED)
        assert condition(run, "Ready")["status"] == "True"
        await_event(space, "slow", "RunSucceeded")
        await_record(tracking, run, "FINISHED")


@pytest.fixture
def lost_node(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A node that nobody is behind: pods that ask for it are given to it, and it never says a word about them."""
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"lost-{namespace}", "labels": {"mlp.test/lost": namespace}},
        "spec": {"taints": [{"key": "mlp.test/lost", "effect": "NoSchedule"}]},
    }
    room = {"cpu": "4", "memory": "4Gi", "pods": "10", "ephemeral-storage": "10Gi"}
    conditions = [{"type": "Ready", "status": "True", "reason": "Test", "message": "It seems so."}]
    status = {"status": {"capacity": room, "allocatable": room, "conditions": conditions}}
    name = f"lost-{namespace}"
    cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump(node))
    try:
        cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
        yield name
    finally:
        cluster.kubectl("delete", "node", name)


@pytest.mark.timeout(600)
def test_each_end_is_told_and_recorded(recorded: Workspace, tracking: Tracking, lost_node: str) -> None:
    space = recorded
    flow = functools.partial(Flow, space, tracking)
    flows: dict[str, Callable[[], None]] = {
        "oom": flow("oom").runs_out_of_memory,
        "fill": flow("fill").fills_the_disk,
        "late": flow("late").takes_too_long,
        "pending": flow("pending").never_starts,
        "again": flow("again").fails_twice,
        "orphan": flow("orphan").loses_its_job,
        "lost": functools.partial(flow("lost").loses_its_node, lost_node),
    }
    with ThreadPoolExecutor(len(flows)) as pool:
        begun = {name: pool.submit(one) for name, one in flows.items()}
    failures = {name: error for name, one in begun.items() if (error := one.exception()) is not None}
    if failures:
        raise AssertionError(failures) from next(iter(failures.values()))


class Flow:
    """One run of many that go on side by side, from its creation to its record."""

    def __init__(self, space: Workspace, tracking: Tracking, name: str) -> None:
        self.space, self.tracking, self.name = space, tracking, name

    def _begin(self, entry_point: str, *, kubernetes: dict[str, Any] | None = None, **spec: Any) -> None:
        if kubernetes is not None:
            spec["backend"] = {"type": "Kubernetes", "kubernetes": kubernetes}
        spec |= record_in(self.tracking)
        self.space.apply(self.space.manifest(self.name, "ends.git", entry_point=entry_point, **spec))

    def _fails(self, reason: Reason, event: str = "RunFailed") -> str:
        run = self.space.finish(self.name, seconds=240)
        assert outcome(run) == ("Failed", "False", reason), run["status"]
        assert condition(run, "Stalled")["status"] == "True"
        await_event(self.space, self.name, event)
        await_record(self.tracking, run, "FAILED")
        return str(condition(run, "Succeeded")["message"])

    def _is(self, reason: Reason, phase: str, state: str) -> None:
        run = await_reason(self.space, self.name, reason)
        assert outcome(run)[:2] == (phase, "Unknown"), run["status"]
        await_record(self.tracking, run, state)

    def runs_out_of_memory(self) -> None:
        self._begin("eat", kubernetes={"resources": {"limits": {"memory": "64Mi"}}})
        assert "limits.memory" in self._fails(Reason.OOM_KILLED)

    def fills_the_disk(self) -> None:
        # kubelet looks every ten seconds.
        self._begin("fill", kubernetes={"resources": {"limits": {"ephemeral-storage": "20Mi"}}})
        assert "ephemeral" in self._fails(Reason.EVICTED)

    def takes_too_long(self) -> None:
        self._begin("sleep", activeDeadlineSeconds=10, kubernetes={"terminationGracePeriodSeconds": 5})
        assert "activeDeadlineSeconds" in self._fails(Reason.DEADLINE_EXCEEDED, "DeadlineExceeded")

    def never_starts(self) -> None:
        self._begin("main", pendingDeadlineSeconds=30, kubernetes={"nodeSelector": {"no-such": "node"}})
        self._is(Reason.UNSCHEDULABLE, "Preparing", "SCHEDULED")
        assert "No node takes the pod" in self._fails(Reason.PENDING_DEADLINE_EXCEEDED, "DeadlineExceeded")

    def fails_twice(self) -> None:
        self._begin("exit", backoffLimit=1)
        self._is(Reason.RETRYING, "Pending", "SCHEDULED")
        self._fails(Reason.BACKOFF_LIMIT_EXCEEDED)
        await_event(self.space, self.name, "RunRetrying", "RunFailed")
        assert self.space.run(self.name)["status"]["attempts"] == 2

    def loses_its_job(self) -> None:
        self._begin("sleep", kubernetes={"terminationGracePeriodSeconds": 5})
        self._is(Reason.RUNNING, "Running", "RUNNING")
        self.space.kubectl("delete", "job", self.name)
        assert "spec.backoffLimit" in self._fails(Reason.JOB_DELETED)
        await_event(self.space, self.name, "JobDeleted")

    def loses_its_node(self, node: str) -> None:
        tolerations = [{"key": "mlp.test/lost", "operator": "Exists"}]
        selector = {"mlp.test/lost": self.space.namespace}
        self._begin("main", kubernetes={"nodeSelector": selector, "tolerations": tolerations})

        def placed() -> str | None:
            pods = json.loads(self.space.kubectl("get", "pods", "-l", f"mlp.dev/projectrun={self.name}", "-o", "json"))
            return next(
                (each["metadata"]["name"] for each in pods["items"] if each["spec"].get("nodeName") == node), None
            )

        pod = wait_until("the pod is given to the node", placed, seconds=120)
        self._is(Reason.SUBMITTED, "Preparing", "SCHEDULED")
        # What a node's controllers write when it is lost; here is no kubelet that would say otherwise.
        said = {"status": {"phase": "Failed", "reason": "NodeLost", "message": f"Node {node} was lost."}}
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps(said))
        self.space.kubectl("patch", "pod", pod, *patch)
        assert node in self._fails(Reason.NODE_LOST)
