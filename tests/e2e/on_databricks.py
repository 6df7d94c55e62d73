"""A Databricks workspace in the cluster's network: the operator in its pod reaches it, and so do its own clusters.

It is the double as a program of its own; its tasks are processes there. They reach no package index: what they need of
Python lies in a directory of wheels. The tracking server has one address for both.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from tests.cluster import SERVICE_IPS, OwnCluster
from tests.databricks_server import processes
from tests.databricks_server.program import Program
from tests.databricks_server.pythons import plain_python
from tests.e2e.installation import condition, wait_until
from tests.servers.wheels import needed_by, repacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.installation import Workspace

IP: Final = SERVICE_IPS[3]
PORT: Final = 8090
OTHER_PORT: Final = 8091
USER: Final = "ann@example.com"
ROBOT: Final = "11111111-2222-4333-8444-555555555555"
"""The application id of a service principal with a secret."""
TRUSTED: Final = "99999999-8888-4777-8666-555555555555"
"""That of one with a federation policy."""
ACCOUNT: Final = "trainer"
"""The ServiceAccount that this policy is for."""
SECRET: Final = "dbc"
CLUSTER: Final = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0}
MLP: Final = str(Path(sys.executable).with_name("mlp"))


@dataclass(frozen=True)
class Site:
    """What all workspaces of a session have in common.

    Attributes:
        cluster: Whose network they are in.
        driver: The machine of their clusters: what one run has installed for all, others find.
        python: The clusters' Python.
        wheels: All that is ever installed.
        reached_at: Where the tests reach the ports of IP.
    """

    cluster: OwnCluster
    driver: Path
    python: Path
    wheels: Path
    reached_at: dict[int, str]

    def inside(self, *command: str) -> list[str]:
        """The command line of a program in the cluster's network that installs from the wheels alone."""
        settings = ("PIP_NO_INDEX=1", f"PIP_FIND_LINKS={self.wheels}")
        return self.cluster.inside("env", *settings, *command)


def prepare(cluster: OwnCluster, directory: Path) -> Site:
    """Make ready what workspaces need. Wheels are of what is installed beside the tests."""
    wheels = directory / "wheels"
    for name in sorted({*needed_by("mlp-operator")} - {"mlp-operator"}):
        repacked(wheels, name)
    reached_at = {port: f"127.0.0.1:{cluster.forward(IP, port)}" for port in (PORT, OTHER_PORT)}
    return Site(cluster, directory / "driver", plain_python(), wheels, reached_at)


@dataclass
class Lakehouse:
    """A workspace, and how it is looked behind.

    Attributes:
        program: The double.
        space: The namespace whose runs it is for.
        client_secret: The secret of ROBOT, where it has any.
    """

    program: Program
    space: Workspace
    client_secret: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Where pods find it."""
        return self.program.url

    @property
    def token(self) -> str:
        """A personal access token."""
        return self.program.token

    def backend(self, **more: Any) -> dict[str, Any]:
        """`spec.backend` of a run here. What is None is left out."""
        found = {"host": self.url, "secretRef": {"name": SECRET}, "cluster": {"newCluster": CLUSTER}, **more}
        return {"type": "Databricks", "databricks": {name: each for name, each in found.items() if each is not None}}

    def manifest(self, name: str, repository: str = "probe.git", **spec: Any) -> dict[str, Any]:
        """A ProjectRun here."""
        return self.space.manifest(name, repository, **{"backend": self.backend(), **spec})

    def script(self, name: str, *, number: int | None = None, **directives: Any) -> None:
        """Say what happens to the runs of a ProjectRun, or to its submission of that number, instead of its task."""
        end = rf"-{number}\)" if number is not None else r""
        self.program.call("script", pattern=rf"^{self.space.namespace}/{name} \(.*{end}", directives=directives)

    def runs(self, name: str) -> list[dict[str, Any]]:
        """All runs of a ProjectRun here, the oldest first."""
        beginning = f"{self.space.namespace}/{name} ("
        return [each for each in self.program.runs() if each["body"]["run_name"].startswith(beginning)]

    def only(self, name: str) -> dict[str, Any]:
        """The one run of a ProjectRun."""
        [run] = self.runs(name)
        return run

    def release(self, name: str) -> None:
        """Let the newest run of a ProjectRun go on that its script holds."""
        self.program.call("release", run_id=self.runs(name)[-1]["run_id"])

    def ask(self, method: str, call: str, **body: Any) -> dict[str, Any]:
        """One request of the Jobs API, as its user."""
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": f"Bearer {self.token}"}
            address = f"http://{self.program.reached_at}/api/2.2/jobs/runs/{call}"
            answer = session.request(method, address, json=body, headers=headers, timeout=60)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        return found

    @contextmanager
    def away(self) -> Iterator[None]:
        """kill -9 for a while."""
        self.program.kill()
        try:
            yield
        finally:
            self.program.start()

    @contextmanager
    def ending_slowly(self, *names: str) -> Iterator[None]:
        """Let no run end that is being ended, for as long as the block lasts; then these ProjectRuns' runs do."""
        self.program.call("delays", terminating=3600)
        try:
            yield
        finally:
            self.program.call("delays", terminating=0)
            for name in names:
                self.release(name)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Everything that lies here, by where: what was uploaded, what was asked for, what tasks were started with."""
        root = self.program.directory
        for path in root.rglob("*"):
            if not path.is_file() or path.name == "configuration.json":
                continue
            yield str(path.relative_to(root)), path.read_bytes().decode(errors="replace")
            if path.name.endswith(".tar.gz"):
                with tarfile.open(path) as archive:
                    for member in archive:
                        if (stream := archive.extractfile(member)) is not None:
                            yield f"{path.name}!{member.name}", stream.read().decode(errors="replace")


@contextmanager
def serving(site: Site, directory: Path) -> Iterator[Program]:
    """A workspace for as long as the block lasts, with a personal access token."""
    tokens = {f"dapi{secrets.token_hex(16)}": USER}
    with _program(site, directory, PORT, tokens=tokens) as program:
        yield program


@contextmanager
def lakehouse_of(site: Site, space: Workspace, directory: Path) -> Iterator[Lakehouse]:
    """A workspace of a namespace's own, which takes tokens of its ServiceAccount too."""
    told = json.loads(site.cluster.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    policy = {
        "issuer": told["issuer"],
        "audiences": [f"http://{IP}:{OTHER_PORT}/oidc/v1/token"],
        "keys": json.loads(site.cluster.kubectl("get", "--raw", "/openid/v1/jwks")),
        "subject": f"system:serviceaccount:{space.namespace}:{ACCOUNT}",
        "client_id": TRUSTED,
    }
    principals = {ROBOT: f"dose{secrets.token_hex(16)}"}
    tokens = {f"dapi{secrets.token_hex(16)}": USER}
    program = _program(site, directory, OTHER_PORT, tokens=tokens, principals=principals, policies=[policy])
    with program, used_by(space, program) as lakehouse:
        lakehouse.client_secret = principals[ROBOT]
        yield lakehouse


def _program(site: Site, directory: Path, port: int, **options: Any) -> Program:
    return Program(
        directory,
        host=IP,
        port=port,
        inside=site.inside,
        reached_at=site.reached_at[port],
        python=str(site.python),
        driver=str(site.driver),
        gone_status=404,
        **options,
    )


@contextmanager
def used_by(space: Workspace, program: Program) -> Iterator[Lakehouse]:
    """A workspace as a namespace uses it, with its token there.

    At the end all runs of the namespace are deleted. Nothing of them must be at work then.
    """
    lakehouse = Lakehouse(program, space)
    program.call("faults/clear")
    space.give_secret(SECRET, {"token": program.token})
    yield lakehouse
    space.kubectl("delete", "projectruns", "--all", "--timeout=120s", timeout=150)
    own = [each for each in program.runs() if each["body"]["run_name"].startswith(f"{space.namespace}/")]
    active = [each["body"]["run_name"] for each in own if each["phase"] != "ended" and not each["forgotten"]]
    assert active == []
    assert program.call("mistakes") == []
    assert processes.below(program.directory / "runs") == {}


def mlp(space: Workspace, *arguments: str, timeout: float = 240.0) -> str:
    """`mlp` as a user of the namespace calls it; what it prints."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "KUBECONFIG": str(space.cluster.kubeconfig)}
    done = subprocess.run(
        [MLP, *arguments, "-n", space.namespace],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def await_gone(space: Workspace, name: str) -> None:
    """Wait until a ProjectRun is not there any more."""
    wait_until(f"{name} is gone", lambda: name not in space.names("projectruns"), seconds=120)


def message_of(run: dict[str, Any]) -> str:
    """What a run's condition Succeeded says."""
    found: str = condition(run, "Succeeded")["message"]
    return found
