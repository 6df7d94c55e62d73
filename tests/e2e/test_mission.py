"""What all of this is for, as one test: an ordinary project, with all that it needs, in the cluster.

A private repository, a file in S3 and one in DBFS, a conda.yaml with a pip section from a guarded channel and a guarded
index, an MLflow that wants a password. And each password is only where it is of use.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import mission
from tests.e2e.installation import SYSTEM, condition, outcome, wait_until
from tests.e2e.volumes import claim, writable

if TYPE_CHECKING:
    from tests.e2e.installation import Installed, Workspace
    from tests.e2e.services import Databricks, Packages, Store, Tracking

KINDS = "projectruns,jobs,pods,configmaps,events,replicasets,deployments"
STEPS = ["clone", "data", "environment", "main"]


def command_lines(words: set[bytes]) -> set[str]:
    """Programs of this machine, those in pods among them, that have one of these words in their command line."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(word in (process / "cmdline").read_bytes() for word in words):
                found.add((process / "comm").read_text().strip())
        except OSError:
            continue
    return found


@pytest.mark.timeout(600)
def test_a_project_that_needs_everything_runs_to_its_end(
    workspace: Workspace,
    installed: Installed,
    store: Store,
    databricks: Databricks,
    packages: Packages,
    tracking: Tracking,
    tmp_path: Path,
) -> None:
    passwords = {
        "Git": workspace.host.password,
        "S3": store.variables["AWS_SECRET_ACCESS_KEY"],
        "Databricks": databricks.variables["DATABRICKS_TOKEN"],
        "packages": packages.password,
        "tracking": tracking.variables["MLFLOW_TRACKING_PASSWORD"],
    }
    commit = workspace.host.publish("mission.git", mission.FILES)
    workspace.give_secret("data", store.variables | databricks.variables)
    workspace.give_secret("packages", packages.variables)
    workspace.give_secret("mlflow", tracking.variables)
    table = store.put("mission/table.csv", mission.TABLE)
    weights = databricks.put("mission/weights.json", mission.WEIGHTS)
    cache = writable(tmp_path / "envs")
    seen: set[str] = set()

    def run(name: str) -> dict[str, Any]:
        manifest = workspace.manifest(
            name,
            "mission.git",
            parameters={"table": table, "weights": weights},
            data={"secretRef": {"name": "data"}},
            environment={"secretRef": {"name": "packages"}, "cache": {"volumeClaimName": "envs"}},
            tracking={"uri": tracking.uri, "secretRef": {"name": "mlflow"}},
            experiment={"name": "mission", "tags": [{"name": "owner", "value": "ann"}]},
        )
        workspace.apply(manifest)
        words = {password.encode() for password in passwords.values()}

        def ended() -> dict[str, Any] | None:
            seen.update(command_lines(words))
            found = workspace.run(name)
            return found if found["status"].get("phase") in ("Succeeded", "Failed") else None

        ending = wait_until(f"{name} ends", ended, seconds=240)
        logs = {step: workspace.said(name, step) for step in ("fetch", "environment")}
        assert outcome(ending) == ("Succeeded", "True", "Succeeded"), (ending["status"], logs)
        steps = ending["status"]["steps"]
        assert [(each["name"], each["state"]) for each in steps] == [(step, "Succeeded") for step in STEPS]
        assert all(each["startTime"] <= each["completionTime"] for each in steps)
        return ending

    with claim(workspace, "envs", cache):
        first = run("first")
        assert first["status"]["source"]["commit"] == commit
        assert "Built " in workspace.said("first", "environment")
        second = run("second")
        # Nothing is built, and nothing asked for.
        said = workspace.said("second", "environment")
        assert "Built " not in said, second["status"]["steps"]
        assert "Found " in said, said
        assert len([path for path in cache.iterdir() if not path.name.startswith(".")]) == 1

        for each in (first, second):
            recorded(each, workspace, tracking, commit)
        for name in ("first", "second"):
            assert nowhere(passwords, places(name, workspace, installed, tracking)) == []
        # What the environment's builder could read, as the project's own package has found it.
        [looked] = cache.glob("*/lib/python*/site-packages/looked.py")
        assert "THE SPY HAS LOOKED" in looked.read_text()
        for file in cache.rglob("*"):
            if file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                assert [each for each, word in passwords.items() if word.encode() in content] == [], file
    assert seen == set()


def recorded(run: dict[str, Any], workspace: Workspace, tracking: Tracking, commit: str) -> None:
    """Hold that MLflow has it all."""
    name = run["metadata"]["name"]
    wait_until("MLflow has its end", lambda: workspace.run(name)["status"].get("mlflow", {}).get("state") == "FINISHED")
    status = workspace.run(name)["status"]
    assert condition(workspace.run(name), "Tracked")["status"] == "True"
    assert status["mlflow"]["uri"] == tracking.uri
    run_id = status["mlflow"]["runId"]
    assert [each["info"]["run_id"] for each in tracking.runs(run["metadata"]["uid"])] == [run_id]
    found = tracking.run(run_id)
    assert found["info"]["status"] == "FINISHED"
    assert found["info"]["end_time"] >= found["info"]["start_time"]
    history = tracking.ask("GET", "metrics/get-history", run_id=run_id, metric_key="slope")["metrics"]
    assert [each["value"] for each in history] == mission.SLOPES
    tags = tracking.tags(run_id)
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["mlflow.source.type"] == "PROJECT"
    assert tags["mlflow.project.entryPoint"] == "main"
    assert tags["mlflow.project.env"] == "conda"
    assert tags["owner"] == "ann"
    assert {each["key"] for each in found["data"]["params"]} == {"table", "weights", "rate"}
    # The model is a logged model of MLflow 3, and the run's output.
    [output] = found["outputs"]["model_outputs"]
    model = tracking.ask("GET", f"logged-models/{output['model_id']}")["model"]["info"]
    assert (model["name"], model["status"]) == ("line", "LOGGED_MODEL_READY")
    assert model["source_run_id"] == run_id
    kept = list((tracking.server.directory / "artifacts").rglob(f"{output['model_id']}/artifacts/*"))
    assert {path.name for path in kept} == {"MLmodel", "weights.json"}


def places(name: str, workspace: Workspace, installed: Installed, tracking: Tracking) -> dict[str, str]:
    """What people and programs can read of a run, by what it is."""
    looked = workspace.said(name)
    assert "THE SPY HAS LOOKED" in looked
    run_id = workspace.run(name)["status"]["mlflow"]["runId"]
    return {
        "what project code can read": looked,
        "fetch's log": workspace.said(name, "fetch"),
        "environment's log": workspace.said(name, "environment"),
        "the operator's log": installed.logs(),
        "objects": workspace.kubectl("get", KINDS, "-o", "json"),
        "system objects": workspace.cluster.kubectl("-n", SYSTEM, "get", KINDS, "-o", "json"),
        "MLflow": json.dumps(tracking.run(run_id)),
    }


def nowhere(passwords: dict[str, str], texts: dict[str, str]) -> list[tuple[str, str]]:
    """Which password stands where, plainly or as base64 writes it."""
    found = []
    for whose, password in passwords.items():
        forms = {password, base64.b64encode(password.encode()).decode()}
        found += [(whose, place) for place, text in texts.items() if any(form in text for form in forms)]
    return found
