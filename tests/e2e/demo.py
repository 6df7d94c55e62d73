"""`make demo-cluster`: a Kubernetes of its own, the operator in it, and one ProjectRun from apply to Succeeded.

Everything is removed at the end. Needs root, as every cluster with a node does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tests.cluster.cluster import start_for_this_process
from tests.cluster.packages import Missing
from tests.e2e.installation import REPOSITORY, Installed, Workspace, start_git
from tests.images import OPERATOR, RUNNER, build


def main() -> int:
    """Show it."""
    say("Two images, from their Dockerfiles")
    archives = [build(image) for image in (RUNNER, OPERATOR)]
    say("A one-node Kubernetes in namespaces of its own")
    cluster = start_for_this_process("node")
    try:
        with tempfile.TemporaryDirectory() as directory:
            for archive in archives:
                cluster.load(archive)
            say("The operator, with its real rights", "kubectl apply -f crds -f deploy/operator.yaml")
            Installed(cluster).install()
            host = start_git(cluster, Path(directory))
            host.publish("examples.git", REPOSITORY / "examples")
            cluster.kubectl("create", "namespace", "team-a")
            space = Workspace(cluster, "team-a", host)
            space.give_credentials()
            manifest = space.manifest(
                "two-steps", "examples.git", subdirectory="two_steps", parameters={"rows": "500", "noise": "0.1"}
            )
            say("A run of a private repository's branch", "kubectl apply -f projectrun.yaml")
            print(yaml.safe_dump(manifest, sort_keys=False))
            space.apply(manifest)
            show(space, "get", "projectrun", "two-steps")
            show(space, "wait", "--for=condition=Succeeded", "projectrun/two-steps", "--timeout=120s")
            show(space, "get", "projectrun", "two-steps", "-o", "wide")
            say("What it said", "mlp logs two-steps -n team-a")
            mlp = [str(Path(sys.executable).with_name("mlp")), "logs", "two-steps", "-n", "team-a"]
            sys.stdout.flush()
            subprocess.run(mlp, check=True, env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)})
            say("Deleting it leaves no Job and no pod", "kubectl delete projectrun two-steps")
            space.kubectl("delete", "projectrun", "two-steps")
            space.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=60s")
            show(space, "get", "jobs,pods")
    finally:
        cluster.stop()
    return 0


def say(what: str, command: str | None = None) -> None:
    """A heading."""
    print(f"\n# {what}" + (f"\n$ {command}" if command else ""), flush=True)


def show(space: Workspace, *arguments: str) -> None:
    """A command of the user and its answer."""
    print(f"$ kubectl -n {space.namespace} {' '.join(arguments)}\n{space.kubectl(*arguments, timeout=150)}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as missing:
        sys.exit(f"make demo-cluster: {missing}")
