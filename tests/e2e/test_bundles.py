"""``mlp submit DIRECTORY``: the working tree of this machine runs in the cluster, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.installation import git, outcome, wait_until

if TYPE_CHECKING:
    from tests.e2e.installation import Workspace
    from tests.e2e.services import Store

MLP = str(Path(sys.executable).with_name("mlp"))

PROJECT = {
    "MLproject": """\
name: sent
entry_points:
  main:
    parameters:
      notes: path
    command: "./show.sh {notes}"
""",
    "show.sh": """\
#!/bin/sh
find . -type l -printf "FILE %P link\\n" -o \\
  -type f -perm -u+x -printf "FILE %P program\\n" -o -type f -printf "FILE %P\\n"
echo "NOTES $(cat "$1")"
""",
    "src/tracked.py": "print('tracked')\n",
    ".gitignore": "ignored.bin\n",
    ".mlpignore": "not-sent/\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree: tracked, changed, new, ignored files."""
    root = tmp_path / "tree"
    for path, text in PROJECT.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "show.sh").chmod(0o755)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "The tree's files")
    (root / "src/new.py").write_text("print('new')\n")
    (root / "src/link.py").symlink_to("new.py")
    (root / "ignored.bin").write_bytes(b"ignored")
    (root / "not-sent").mkdir()
    (root / "not-sent/large.csv").write_text("x\n")
    return root


def submit(space: Workspace, tree: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Begin ``mlp submit`` as a user does."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tree.parent),
        "KUBECONFIG": str(space.cluster.kubeconfig),
        **variables,
    }
    command = [MLP, "submit", str(tree), "-n", space.namespace, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it has said on both of its streams, once it has ended well."""
    said, told = process.communicate(timeout=240)
    assert process.returncode == 0, (said, told)
    return said, told


def test_a_directory_of_this_machine_is_sent_and_run(workspace: Workspace, store: Store, tree: Path) -> None:
    space = workspace
    notes = tree.parent / "notes.txt"
    notes.write_text("mine alone")
    large = tree.parent / "large"
    subprocess.run(["cp", "-a", str(tree), str(large)], check=True)
    (large / "weights.bin").write_bytes(os.urandom(1_200_000))
    space.give_secret("data", store.variables)

    given = ("-P", f"notes=@{notes}", "--logs")
    staging = ("--staging", f"s3://{store.here.bucket}/staged", "--data-secret", "data")
    small_one = submit(space, tree, *given, "--name", "small")
    large_one = submit(space, large, *given, *staging, "--name", "large", **store.here.environment)
    small, large_said = ended(small_one), ended(large_one)

    listed = {"FILE .gitignore", "FILE .mlpignore", "FILE MLproject", "FILE show.sh program"}
    listed |= {"FILE src/link.py link", "FILE src/new.py", "FILE src/tracked.py"}
    for said, files in ((small, listed), (large_said, {*listed, "FILE weights.bin"})):
        lines = said[0].splitlines()
        assert {line for line in lines if line.startswith("FILE ")} == files
        assert "NOTES mine alone" in lines
        assert f"Sending {len(files)} files" in said[1]

    runs = {name: space.run(name) for name in ("small", "large")}
    for run in runs.values():
        assert outcome(run) == ("Succeeded", "True", "Succeeded")
        assert run["status"]["source"]["sha256"] == run["spec"]["project"]["bundle"]["sha256"]
    assert runs["large"]["spec"]["project"]["bundle"]["uri"].startswith(f"s3://{store.here.bucket}/staged/")

    # Everything that was made for a run is its own, and goes with it.
    kept = json.loads(space.kubectl("get", "configmaps", "-o", "json"))["items"]
    made = [each for each in kept if each["metadata"]["name"] != "kube-root-ca.crt"]
    owners = sorted(each["metadata"]["ownerReferences"][0]["uid"] for each in made)
    assert owners == sorted([runs["small"]["metadata"]["uid"]] * 2 + [runs["large"]["metadata"]["uid"]])
    assert space.names("secrets") == ["data", "git-creds"]
    space.kubectl("delete", "projectruns", "--all")
    wait_until("nothing is left", lambda: space.names("configmaps") == ["kube-root-ca.crt"])
    wait_until("nothing is left", lambda: space.names("jobs,pods") == [])
