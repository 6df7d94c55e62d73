"""kill -9 of everything that takes part in runs, at moments that chance chooses: what is said of each run stays true.

The seed of all choices is printed: MLP_TEST_SEED repeats them, though not the moments, which are the machine's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import secrets
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests

from mlp.resources.names import RUN_LABEL
from tests.cluster import SERVICE_IPS, Missing, OwnCluster
from tests.e2e.installation import GIT_PORT, REPOSITORY, SYSTEM, condition, outcome, wait_until
from tests.e2e.killing import Mortal, first_process, kill_one, processes_in, program, running_containers
from tests.e2e.services import Records
from tests.servers.mlflow_server import MlflowServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.e2e.installation import GitHost, Installed, Workspace

ROUNDS: Final = ["preparing"] * 5 + ["running"] * 6 + ["operator"] * 4 + ["git"] * 3 + ["tracking"] * 2
AT_ONCE: Final = 6
MLFLOW_PORT: Final = 5000
SLOW: Final = 0.5
"""Seconds before each answer of the Git server: time to be hit in the middle."""

PROJECT = {
    "MLproject": """\
name: chaos
entry_points:
  main:
    command: "echo BEGUN && sleep 4 && echo DONE"
  bad:
    command: "echo BEGUN && sleep 2 && exit 3"
  endless:
    command: "echo BEGUN && exec sleep 3000"
""",
}
STUBBORN, FRAGILE, BAD, ENDLESS = "stubborn", "fragile", "bad", "endless"
KINDS: Final = [STUBBORN] * 11 + [FRAGILE] * 5 + [BAD] * 2 + [ENDLESS] * 2
"""Of runs: with more attempts than there are rounds; with one attempt; one that fails; one that is shut down."""
ENDS = {"Succeeded": "FINISHED", "Failed": "FAILED", "Cancelled": "KILLED"}


@pytest.fixture
def own_cluster(cluster: Cluster) -> OwnCluster:
    """A cluster whose processes are this machine's."""
    if not isinstance(cluster, OwnCluster):
        raise Missing("processes in containers can be killed from here only in the suite's own cluster")
    return cluster


@pytest.fixture
def git(own_cluster: OwnCluster, git_host: GitHost, tmp_path: Path) -> Iterator[Mortal]:
    """A Git server of the test's own."""
    git_host.publish("chaos.git", PROJECT)
    command = [str(REPOSITORY / "tests/servers/git_http.py"), "--bind", SERVICE_IPS[2], "--port", str(GIT_PORT)]
    command += ["--root", str(git_host.root), "--delay", str(SLOW)]
    log = tmp_path / "git.log"
    with Mortal(own_cluster, [program("python"), *command], ip=SERVICE_IPS[2], port=GIT_PORT, log=log) as server:
        yield server


@pytest.fixture
def mlflow(own_cluster: OwnCluster, tmp_path: Path) -> Iterator[Mortal]:
    """A tracking server of the test's own."""
    command = [program("mlflow"), "server", "--host", SERVICE_IPS[2], "--port", str(MLFLOW_PORT), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}", "--allowed-hosts", "*"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    # Jobs would be ten processes that no test needs.
    quiet = ["env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true"]
    log = tmp_path / "mlflow.log"
    with Mortal(own_cluster, [*quiet, *command], ip=SERVICE_IPS[2], port=MLFLOW_PORT, log=log) as server:
        yield server


class Chaos:
    """The runs, and what happens to them."""

    def __init__(
        self, space: Workspace, installed: Installed, git: Mortal, mlflow: Mortal, chance: random.Random
    ) -> None:
        self.space, self.installed, self.chance = space, installed, chance
        self._servers = {"git": git, "tracking": mlflow}
        self._restarts: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(len(self._servers))
        kinds = chance.sample(KINDS, len(KINDS))
        self.kinds = {f"{kind}-{number}": kind for number, kind in enumerate(kinds)}
        self._waiting = list(self.kinds)
        self._hits = Counter[str]()

    def finish(self) -> None:
        """Wait until all servers are there again."""
        for restart in self._restarts.values():
            restart.result()
        self._pool.shutdown()

    def start_some(self, *, beyond: int = 0) -> None:
        """Start runs as long as few are under way; `beyond`: so many must be left for later."""
        listed = self.runs().values()
        busy = sum(each.get("status", {}).get("phase") not in ENDS for each in listed)
        ready = self._waiting[: max(0, min(AT_ONCE - busy, len(self._waiting) - beyond))]
        if ready:
            self.space.apply(*map(self._manifest, ready))
            del self._waiting[: len(ready)]

    def _manifest(self, name: str) -> dict[str, Any]:
        kind = self.kinds[name]
        made = self.space.manifest(
            name,
            "chaos.git",
            entry_point=kind if kind in (BAD, ENDLESS) else None,
            backoffLimit=2 * len(ROUNDS) if kind == STUBBORN else 0,
            tracking={"uri": self._servers["tracking"].address},
            experiment={"name": f"chaos-{self.space.namespace}"},
            # Its grace period is not what is tested.
            backend={"type": "Kubernetes", "kubernetes": {"terminationGracePeriodSeconds": 5}},
        )
        made["spec"]["project"]["uri"] = f"{self._servers['git'].address}/chaos.git"
        return made

    def runs(self) -> dict[str, dict[str, Any]]:
        """All ProjectRuns by name."""
        listed = json.loads(self.space.kubectl("get", "projectruns", "-o", "json"))["items"]
        return {each["metadata"]["name"]: each for each in listed}

    def pods(self) -> list[dict[str, Any]]:
        """All pods of runs."""
        found: list[dict[str, Any]] = json.loads(self.space.kubectl("get", "pods", "-o", "json"))["items"]
        return found

    def strike(self, kind: str) -> str | None:
        """One round; what was hit, or None if there was nothing of its kind."""
        time.sleep(self.chance.uniform(0, 1.5))
        if kind in self._servers:
            return self._kill_server(kind)
        if kind == "operator":
            return str(wait_until("the operator is hit", self._kill_operator, seconds=150))
        return self._hunt(kind)

    def _kill_server(self, kind: str) -> str:
        server = self._servers[kind]
        if before := self._restarts.get(kind):
            before.result()
        away = self.chance.uniform(1, 2)
        server.kill()

        def come_back() -> None:
            time.sleep(away)
            server.start()

        self._restarts[kind] = self._pool.submit(come_back)
        return f"away for {away:.1f} s"

    def _kill_operator(self) -> str | None:
        found = json.loads(self.space.cluster.kubectl("-n", SYSTEM, "get", "pods", "-o", "json"))["items"]
        containers = [container for pod in found for container in running_containers(pod).values()]
        return kill_one([process for container in containers for process in first_process(container)], self.chance)

    def _hunt(self, kind: str) -> str | None:
        """Kill a process of some init container, or of some main; None if there has been none for long."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            listed = [
                (pod["metadata"]["labels"][RUN_LABEL], name, container)
                for pod in self.pods()
                for name, container in running_containers(pod).items()
                if (name == "main") == (kind == "running")
            ]
            # A Job waits for twice as long after each failure: those that were hit least come first.
            chosen = sorted(self.chance.sample(listed, len(listed)), key=lambda each: self._hits[each[0]])
            for run, name, container in chosen:
                if killed := kill_one(processes_in(container), self.chance):
                    self._hits[run] += 1
                    return f"{killed} in {name} of {run}"
            self.start_some()
        return None


def seconds_of(pod: dict[str, Any]) -> tuple[str, str]:
    """When a pod's first container was started, and when its last one had ended, as kubelet says."""
    status = pod["status"]
    every = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    ended = [each["state"]["terminated"] for each in every if each.get("state", {}).get("terminated")]
    ended = [each for each in ended if each.get("startedAt")]
    assert ended, status
    return min(each["startedAt"] for each in ended), max(each["finishedAt"] for each in ended)


@pytest.mark.timeout(900)
def test_whatever_is_killed_every_run_comes_to_its_true_end(
    workspace: Workspace, installed: Installed, git: Mortal, mlflow: Mortal, own_cluster: OwnCluster, tmp_path: Path
) -> None:
    seed = int(os.environ.get("MLP_TEST_SEED") or secrets.randbits(32))
    print(f"MLP_TEST_SEED={seed}")
    chance = random.Random(seed)
    chaos = Chaos(workspace, installed, git, mlflow, chance)
    rounds = chance.sample(ROUNDS, len(ROUNDS))
    hit: list[str] = []
    try:
        for number, kind in enumerate(rounds):
            chaos.start_some(beyond=(len(rounds) - number) // 2)
            if victim := chaos.strike(kind):
                hit.append(kind)
            print(number, kind, victim)
    finally:
        chaos.finish()
    assert set(hit) == set(ROUNDS)
    installed.wait_ready()

    ended: dict[str, dict[str, Any]] = {}

    def all_ended() -> bool:
        chaos.start_some()
        ended.update(chaos.runs())
        for name, run in ended.items():
            if chaos.kinds[name] == ENDLESS and run.get("status", {}).get("phase") == "Running":
                workspace.patch(name, shutdown="Stop")
        return len(ended) == len(KINDS) and all(run["status"].get("phase") in ENDS for run in ended.values())

    def under_way() -> dict[str, Any]:
        return {name: run.get("status", {}) for name, run in ended.items() if run["status"].get("phase") not in ENDS}

    try:
        wait_until("all runs have ended", all_ended, seconds=420, pause=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}: {under_way()}") from None

    records = Records(
        mlflow.address, MlflowServer(f"http://127.0.0.1:{own_cluster.forward(mlflow.ip, mlflow.port)}", tmp_path)
    )
    pods = chaos.pods()
    for name, run in ended.items():
        own = [pod for pod in pods if pod["metadata"]["labels"][RUN_LABEL] == name]
        own.sort(key=lambda pod: pod["metadata"]["creationTimestamp"])
        truthful(workspace, run, chaos.kinds[name], own)
        recorded(records, run)
    made = sorted({pod["metadata"]["labels"]["job-name"] for pod in pods})
    wait_until("there is a Job for each that was not shut down", lambda: sorted(workspace.names("jobs")) == made)

    def held() -> list[str]:
        return [pod["metadata"]["name"] for pod in chaos.pods() if pod["metadata"].get("finalizers")]

    wait_until("no pod has a finalizer", lambda: held() == [], seconds=180)


def truthful(space: Workspace, run: dict[str, Any], kind: str, pods: list[dict[str, Any]]) -> None:
    """Hold that a run's end is what its pods say, and that no two of them were at work at the same time."""
    name, phase, status = run["metadata"]["name"], run["status"]["phase"], run["status"]
    for earlier, later in itertools.pairwise(pods):
        assert seconds_of(earlier)[1] <= seconds_of(later)[0], (name, pods)
    assert {pod["status"]["phase"] for pod in pods[:-1]} <= {"Failed"}, name
    match kind:
        case "stubborn":
            assert phase == "Succeeded", (name, status)
        case "bad":
            assert phase == "Failed", (name, status)
        case "fragile":
            assert phase in ("Succeeded", "Failed"), (name, status)
        case "endless":
            assert phase in ("Cancelled", "Failed"), (name, status)
    assert outcome(run)[1] == ("True" if phase == "Succeeded" else "False")
    if phase == "Cancelled":
        assert pods == [], name
        return
    assert pods, (name, status)
    assert pods[-1]["status"]["phase"] == phase, (name, status)
    assert status["attempts"] == len(pods), (name, status)
    main = next((each for each in pods[-1]["status"]["containerStatuses"] if each["name"] == "main"), {})
    code = main.get("state", {}).get("terminated", {}).get("exitCode")
    assert status["kubernetes"].get("exitCode") == code, (name, status)
    if phase == "Succeeded":
        assert space.kubectl("logs", pods[-1]["metadata"]["name"], "-c", "main").splitlines()[-1] == "DONE"
    else:
        # What was killed is nobody's mistake; it is told as what it was.
        assert condition(run, "Succeeded")["reason"] in (
            "EntryPointFailed",
            "PreparationFailed",
            "SourceUnavailable",
        ), (name, status)


def recorded(records: Records, run: dict[str, Any]) -> None:
    """Hold that MLflow has a run once, and its end."""
    uid, name, state = run["metadata"]["uid"], run["metadata"]["name"], ENDS[run["status"]["phase"]]

    def closed() -> bool:
        with contextlib.suppress(requests.RequestException):
            return [each["info"]["status"] for each in records.runs(uid)] == [state]
        return False

    try:
        wait_until(f"{name} is {state} in MLflow", closed, seconds=240)
    except AssertionError as error:
        raise AssertionError(f"{error}: {records.runs(uid)}, {run['status']}") from None
