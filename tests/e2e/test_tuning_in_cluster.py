"""examples/tuning with the backend kubernetes: a driver in a pod, runs side by side, the poor half ended early."""

from __future__ import annotations

import json
import platform
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.installation import REPOSITORY, outcome, wait_until
from tests.e2e.volumes import claim, writable
from tests.servers import package_server
from tests.servers.wheels import Index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.e2e.installation import Workspace
    from tests.e2e.services import Tracking

GOOD = ["0.01", "0.007", "0.005", "0.003", "0.002"]
POOR = ["1e-8", "5e-9", "2e-9", "1e-9", "5e-10"]
"""They learn so little that none catches up however long it is left, and none stops by itself."""


@pytest.fixture(scope="module")
def index(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A package index that pods reach, with what the example's python_env.yaml lists."""
    root = tmp_path_factory.mktemp("index")
    packages = Index(root)
    for package in ("mlflow-skinny", "scikit-learn"):
        packages.add_installed(package)
    with package_server.serving(root) as server:
        yield f"http://{cluster.publish(server.server_address[1])}/simple"


@pytest.fixture
def tuning(workspace: Workspace, tracking: Tracking, index: str, tmp_path: Path) -> Iterator[Workspace]:
    """A namespace for drivers, with the example's repository, its packages and a claim for environments."""
    project = tmp_path / "tuning"
    shutil.copytree(REPOSITORY / "examples/tuning", project, ignore=shutil.ignore_patterns("__pycache__"))
    # The wheels that are served are those of the Python that runs the tests, as is the runner image's.
    environment = project / "python_env.yaml"
    text = environment.read_text()
    assert 'python: "3.12"' in text
    environment.write_text(text.replace("3.12", ".".join(platform.python_version_tuple()[:2])))
    workspace.host.publish("tuning.git", project)
    workspace.give_secret("mlflow", tracking.variables)
    workspace.give_secret("packages", {"UV_DEFAULT_INDEX": index})
    workspace.kubectl("apply", "-f", str(REPOSITORY / "deploy/driver-rbac.yaml"))
    with claim(workspace, "envs", writable(tmp_path / "envs")):
        yield workspace


def driver(space: Workspace, tracking: Tracking, name: str, rates: list[str]) -> dict[str, Any]:
    """The driver's ProjectRun. It names what its runs need; it needs none of it but the tracking server itself."""
    return space.manifest(
        name,
        "tuning.git",
        parameters={"learning_rates": " ".join(rates), "parallel": str(len(rates)), "backend": "kubernetes"},
        environment={
            "manager": "Local",
            "cache": {"volumeClaimName": "envs"},
            "secretRef": {"name": "packages"},
        },
        tracking={"uri": tracking.uri, "secretRef": {"name": "mlflow"}},
        experiment={"name": f"tuning-{space.namespace}"},
        backend={"type": "Kubernetes", "kubernetes": {"serviceAccountName": "mlp-driver"}},
    )


def children(space: Workspace, parent: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The ProjectRuns that belong to another one, by their learning rate."""
    listed = json.loads(space.kubectl("get", "projectruns", "-o", "json"))["items"]
    uid = parent["metadata"]["uid"]
    own = [each for each in listed if [owner["uid"] for owner in each["metadata"].get("ownerReferences", ())] == [uid]]
    return {
        next(one["value"] for one in each["spec"]["parameters"] if one["name"] == "learning_rate"): each for each in own
    }


def of_experiment(space: Workspace, tracking: Tracking) -> list[dict[str, Any]]:
    """Everything that MLflow has of this test."""
    name = f"tuning-{space.namespace}"
    experiment = tracking.ask("GET", "experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"]
    found = tracking.ask("POST", "runs/search", experiment_ids=[experiment], max_results=1000)
    return list(found.get("runs", []))


def tags(run: dict[str, Any]) -> dict[str, str]:
    """An MLflow run's tags."""
    return {each["key"]: each["value"] for each in run["data"].get("tags", ())}


def metrics(run: dict[str, Any]) -> dict[str, float]:
    """An MLflow run's metrics."""
    return {each["key"]: each["value"] for each in run["data"].get("metrics", ())}


@pytest.mark.timeout(900)
def test_the_poor_half_of_ten_parallel_runs_is_ended_and_the_best_is_named(
    tuning: Workspace, tracking: Tracking
) -> None:
    space = tuning
    space.apply(driver(space, tracking, "tune", [*GOOD, *POOR]))
    run = space.finish("tune", seconds=600)
    assert outcome(run)[0] == "Succeeded", (run["status"], space.said("tune"))

    # All that it has started is its own, ran from its commit, and has ended as it should.
    own = children(space, run)
    assert set(own) == {*GOOD, *POOR}
    for rate, child in own.items():
        ending = space.finish(child["metadata"]["name"])
        assert outcome(ending)[0] == ("Succeeded" if rate in GOOD else "Cancelled"), ending["status"]
        assert ending["status"]["source"]["commit"] == run["status"]["source"]["commit"]
        assert "serviceAccountName" not in ending["spec"].get("backend", {}).get("kubernetes", {})
    # Ten at once: the last was created before the first had ended.
    created = [child["metadata"]["creationTimestamp"] for child in own.values()]
    ends = [space.run(child["metadata"]["name"])["status"]["completionTime"] for child in own.values()]
    assert max(created) <= min(ends)

    def closed() -> list[dict[str, Any]] | None:
        found = of_experiment(space, tracking)
        ended = all(each["info"]["status"] not in ("RUNNING", "SCHEDULED") for each in found)
        return found if ended else None

    found = wait_until("nothing is left open in MLflow", closed)
    assert len(found) == 1 + len(own)
    by_id = {each["info"]["run_id"]: each for each in found}
    parent = by_id.pop(run["status"]["mlflow"]["runId"])
    assert parent["info"]["status"] == "FINISHED"
    tried = {
        next(one["value"] for one in each["data"]["params"] if one["key"] == "learning_rate"): each
        for each in by_id.values()
    }
    assert {rate: each["info"]["status"] for rate, each in tried.items()} == {
        **dict.fromkeys(GOOD, "FINISHED"),
        **dict.fromkeys(POOR, "KILLED"),
    }
    assert {tags(each)["mlflow.parentRunId"] for each in tried.values()} == {parent["info"]["run_id"]}
    # Ended for what they had shown so far.
    for rate in POOR:
        assert metrics(tried[rate])["rmse"] > 1.1 * min(metrics(tried[rate])["best_rmse"] for rate in GOOD)
        assert "best_rmse" not in metrics(tried[rate])
    best = min((tried[rate] for rate in GOOD), key=lambda each: metrics(each)["best_rmse"])
    assert tags(parent)["best_run"] == best["info"]["run_id"]
    assert metrics(parent) == {"best_rmse": metrics(best)["best_rmse"]}
    # One of them has built their environment.
    builders = [rate for rate in GOOD if "Built " in space.said(own[rate]["metadata"]["name"], "environment")]
    assert len(builders) <= 1
    wait_until("no pod is at work", lambda: at_work(space) == [])

    # A driver that is shut down takes its runs along: neither of these would end by itself.
    space.apply(driver(space, tracking, "stopped", POOR[:2]))

    def both_run() -> bool:
        states = [each["status"].get("phase") for each in children(space, space.run("stopped")).values()]
        return states == ["Running"] * 2

    wait_until("both of its runs run", both_run, seconds=240)
    space.patch("stopped", shutdown="Stop")
    assert outcome(space.finish("stopped"))[0] == "Cancelled"
    for child in children(space, space.run("stopped")).values():
        assert outcome(space.finish(child["metadata"]["name"]))[0] == "Cancelled"
    found = wait_until("nothing is left open in MLflow", closed)
    assert (
        sorted(
            each["info"]["status"] for each in found if each["info"]["run_id"] not in {*by_id, parent["info"]["run_id"]}
        )
        == ["KILLED"] * 3
    )
    wait_until("no pod is at work", lambda: at_work(space) == [])


def at_work(space: Workspace) -> list[str]:
    """Pods that have not ended."""
    listed = json.loads(space.kubectl("get", "pods", "-o", "json"))["items"]
    return [each["metadata"]["name"] for each in listed if each["status"].get("phase") not in ("Succeeded", "Failed")]
