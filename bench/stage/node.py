"""The project's test cluster with its node, and all that runs which are measured need: operator, repositories, a cache.

The Git servers and the channel are ours and run on the same cores, as the whole cluster does.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.stage.api import NAMESPACE
from tests.cluster import SERVICE_IPS, binaries
from tests.cluster.cluster import start_for_this_process
from tests.cluster.packages import Missing, is_root
from tests.e2e.installation import GIT_PORT, REPOSITORY, Installed, Workspace, start_git
from tests.e2e.services import TOOL
from tests.e2e.volumes import claim, writable
from tests.images import OPERATOR, RUNNER, build
from tests.servers import package_server
from tests.servers.conda_channel import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CACHE", "CREDENTIALS", "Node"]

CACHE: Final = "envs"
"""A claim for environments."""
CREDENTIALS: Final = "git-creds"
"""The Secret that the guarded server wants."""

_PROJECT: Final = """\
name: {name}
{environment}
entry_points:
  main:
    command: 'echo "began $EPOCHREALTIME"'
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A running cluster.

    Attributes:
        kubeconfig: The way to it, as administrator.
        version: Kubernetes' version.
        everybodys: The address of the Git server that wants no credentials.
        guarded: The address of the one that wants those of the Secret.
        operator: The operator in its pod.
    """

    kubeconfig: Path
    version: str
    everybodys: str
    guarded: str
    operator: Installed

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Node]:
        """A cluster for as long as the block lasts; all of it goes with this process, whatever ends it.

        It has the repositories ``plain.git`` and ``conda.git``, whose command prints the time.

        Raises:
            Missing: This machine lacks something.
        """
        if not is_root():
            raise Missing("pods need a kubelet, and that needs root")
        archives = [build(image) for image in (RUNNER, OPERATOR)]
        cluster = start_for_this_process("node")
        try:
            with contextlib.ExitStack() as stack:
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlp-bench-")))
                cluster.load(*archives)
                operator = Installed(cluster)
                operator.install()
                host = start_git(cluster, directory)
                everybodys = [str(REPOSITORY / "tests/servers/git_http.py"), "--root", str(host.root)]
                everybodys += ["--bind", SERVICE_IPS[1], "--port", str(GIT_PORT)]
                cluster.serve(*everybodys, ip=SERVICE_IPS[1], port=GIT_PORT)
                space = Workspace(cluster, NAMESPACE, host)
                space.give_credentials(name=CREDENTIALS)
                Channel(directory / "channel", TOOL)
                packages = stack.enter_context(package_server.serving(directory))
                channel = f"http://{cluster.publish(packages.server_address[1])}/channel"
                host.publish("plain.git", {"MLproject": _project("plain")})
                host.publish("conda.git", _with_environment(channel))
                stack.enter_context(claim(space, CACHE, writable(directory / "envs")))
                yield cls(
                    cluster.kubeconfig,
                    binaries.version(),
                    f"http://{SERVICE_IPS[1]}:{GIT_PORT}",
                    host.url("").rstrip("/"),
                    operator,
                )
        finally:
            cluster.stop()

    def project_run(self, name: str, repository: str, *, guarded: bool, cached: bool) -> dict[str, Any]:
        """A ProjectRun of a branch, as a person writes it.

        Args:
            name: Its name.
            repository: ``plain.git`` or ``conda.git``.
            guarded: Whether the project comes from the server that wants credentials.
            cached: Whether environments are kept on the claim.
        """
        project: dict[str, Any] = {"uri": f"{self.guarded if guarded else self.everybodys}/{repository}"}
        if guarded:
            project["authSecretRef"] = {"name": CREDENTIALS}
        spec: dict[str, Any] = {"project": {**project, "version": "main"}}
        if cached:
            spec["environment"] = {"cache": {"volumeClaimName": CACHE}}
        return {"apiVersion": "mlp.dev/v1alpha1", "kind": "ProjectRun", "metadata": {"name": name}, "spec": spec}

    def grumbles(self) -> list[str]:
        """Lines of the operator's log that tell of trouble."""
        levels = (" WARNING ", " ERROR ", " CRITICAL ")
        return [line for line in self.operator.logs().splitlines() if any(level in line for level in levels)]


def _project(name: str, environment: str = "") -> str:
    return _PROJECT.format(name=name, environment=environment)


def _with_environment(channel: str) -> dict[str, str]:
    return {
        "MLproject": _project("conda", "conda_env: conda.yaml"),
        "conda.yaml": f"channels: ['{channel}', nodefaults]\ndependencies: [{TOOL.name}]\n",
    }
