"""The environment cache on a claim: shared by runs at once, and told of when it cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.installation import REPOSITORY, condition, outcome
from tests.e2e.services import TOOL
from tests.e2e.volumes import GROUP, claim, writable
from tests.images import RUNNER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.installation import Workspace
    from tests.e2e.services import Packages

AT_ONCE = 3


@pytest.fixture
def project(workspace: Workspace, packages: Packages) -> str:
    """The repository of a project with a small environment."""
    files = {
        "MLproject": """\
name: tool
conda_env: conda.yaml
entry_points:
  main:
    command: "tool; touch /mlp/envs/x || echo refused"
  stay:
    command: "tool && exec sleep 300"
""",
        "conda.yaml": f"channels: ['{packages.channel}', nodefaults]\ndependencies: [tool]\n",
    }
    workspace.host.publish("tool.git", files)
    return "tool.git"


def pruning(space: Workspace, claim_name: str) -> list[dict[str, Any]]:
    """What deploy/env-prune.yaml says, for the tests' image and a claim, and without waiting for two weeks."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((REPOSITORY / "deploy/env-prune.yaml").read_text()))
    for document in documents:
        document["metadata"]["namespace"] = space.namespace
    pod = documents[-1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["image"] = RUNNER.name
    container["command"][-1] = "0s"
    (volume,) = [each for each in pod["volumes"] if "persistentVolumeClaim" in each]
    volume["persistentVolumeClaim"]["claimName"] = claim_name
    return documents


def prune(space: Workspace, name: str) -> str:
    """Run the CronJob's Job now; what it has said."""
    space.kubectl("create", "job", name, "--from=cronjob/mlp-env-prune")
    space.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=120s")
    return space.kubectl("logs", f"job/{name}")


def manifest(space: Workspace, name: str, project: str, claim_name: str, **spec: Any) -> dict[str, Any]:
    """A run whose environment is kept on a claim."""
    return space.manifest(name, project, environment={"cache": {"volumeClaimName": claim_name}}, **spec)


def test_runs_that_start_at_once_on_a_cold_cache_build_once(
    workspace: Workspace, packages: Packages, project: str, tmp_path: Path
) -> None:
    space = workspace
    before = packages.asked_for(TOOL)
    with claim(space, "envs", writable(tmp_path / "envs")):
        names = [f"run-{number}" for number in range(AT_ONCE)]
        space.apply(*(manifest(space, name, project, "envs") for name in names))
        for name in names:
            run = space.finish(name, seconds=180)
            assert outcome(run)[0] == "Succeeded", run["status"]
            # Main sees the cache, and cannot change it.
            assert {"tool 1.0", "refused"} <= set(space.said(name).splitlines())
        built = [name for name in names if "Built " in space.said(name, "environment")]
        assert len(built) == 1
        assert packages.asked_for(TOOL) == before + 1

        # What is for one run alone leaves the cache alone.
        alone = {"cache": {"policy": "Disabled", "volumeClaimName": "envs"}}
        space.apply(space.manifest("alone", project, environment=alone))
        assert outcome(space.finish("alone"))[0] == "Succeeded"
        assert "Built " in space.said("alone", "environment")
        [kept] = [path for path in (tmp_path / "envs").iterdir() if not path.name.startswith(".")]
        assert (kept / "bin/tool").exists()


def test_pruning_a_claim_leaves_what_an_unfinished_run_uses(workspace: Workspace, project: str, tmp_path: Path) -> None:
    space, directory = workspace, tmp_path / "envs"

    def kept() -> list[Path]:
        return [path for path in directory.iterdir() if not path.name.startswith(".") and path.is_dir()]

    with claim(space, "envs", writable(directory)):
        space.apply(manifest(space, "user", project, "envs", entry_point="stay"))
        space.await_phase("user", "Running")
        space.apply(*pruning(space, "envs"))
        said = prune(space, "first")
        assert len(kept()) == 1, said
        space.patch("user", shutdown="Terminate")
        space.finish("user")
        said = prune(space, "second")
        assert kept() == [], said


def test_a_claim_that_cannot_be_used_is_told(workspace: Workspace, project: str, tmp_path: Path) -> None:
    space = workspace
    full, closed = tmp_path / "full", tmp_path / "closed"
    for directory in (full, closed):
        directory.mkdir()
    space.cluster.mount_memory(full, f"size=16k,mode=2775,gid={GROUP}")
    with (
        claim(space, "gone", tmp_path / "no-such-directory"),
        claim(space, "full", full),
        claim(space, "closed", closed),
    ):
        for name in ("late", "gone", "full", "closed"):
            space.apply(manifest(space, name, project, name))

        # Nobody has made the claim yet: the run waits for it.
        run = space.await_condition("late", "Succeeded", "VolumePending")
        assert run["status"]["phase"] == "Preparing"
        assert condition(run, "Reconciling")["status"] == "True"
        assert "PersistentVolumeClaim late" in condition(run, "Succeeded")["message"]

        # The node cannot mount it.
        run = space.await_condition("gone", "Succeeded", "VolumeMountFailed")
        assert run["status"]["phase"] == "Preparing"
        assert "spec.environment.cache.volumeClaimName" in condition(run, "Succeeded")["message"]
        space.kubectl("delete", "projectrun", "gone", "--wait=false")

        # Nothing fits on it, or may be written to it.
        for name, reason, words in (
            ("full", "VolumeFull", ["no room left", "spec.environment.cache"]),
            ("closed", "VolumeNotWritable", ["nothing can be written", "fsGroup"]),
        ):
            run = space.finish(name, seconds=120)
            assert outcome(run) == ("Failed", "False", reason), run["status"]
            message = condition(run, "Succeeded")["message"]
            assert [word for word in words if word not in message] == [], message
            steps = {each["name"]: each["state"] for each in run["status"]["steps"]}
            assert steps["environment"] == "Failed"

        with claim(space, "late", writable(tmp_path / "late")):
            assert outcome(space.finish("late", seconds=120))[0] == "Succeeded"
