"""The product as it is installed: the operator as a pod from its image, with its real rights, and a Git server."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.cluster import SERVICE_IPS, Cluster, ClusterError, Server
from tests.images import OPERATOR, RUNNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SYSTEM: Final = "mlp-system"
GIT_PORT: Final = 8080


def wait_until(what: str, holds: Callable[[], Any], *, seconds: float = 60.0, pause: float = 0.2) -> Any:
    """Wait for something to become true, and return it."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {value!r}")
        time.sleep(pause)


@dataclass
class GitHost:
    """A Git server in the cluster's network that wants a password."""

    root: Path
    user: str
    password: str
    server: Server
    log: Path

    def url(self, name: str) -> str:
        """Where pods find a repository."""
        return f"http://{self.server.ip}:{GIT_PORT}/{name}"

    def publish(self, name: str, source: Path | dict[str, str], *, branch: str = "main") -> str:
        """Put files into a repository as its next commit; the commit."""
        work = self.root.parent / "work" / name
        if not work.exists():
            work.mkdir(parents=True)
            git(work, "init", "--quiet", f"--initial-branch={branch}")
            git(self.root, "init", "--quiet", "--bare", f"--initial-branch={branch}", name)
            git(self.root / name, "config", "uploadpack.allowFilter", "true")
            git(self.root / name, "config", "uploadpack.allowAnySHA1InWant", "true")
        if isinstance(source, Path):
            subprocess.run(["cp", "-r", f"{source}/.", str(work)], check=True)
        else:
            for path, text in source.items():
                (work / path).parent.mkdir(parents=True, exist_ok=True)
                (work / path).write_text(text)
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--allow-empty", "-m", "A test's files")
        git(work, "push", "--quiet", str(self.root / name), f"HEAD:refs/heads/{branch}")
        return git(work, "rev-parse", "HEAD").strip()


def git(directory: Path, *arguments: str) -> str:
    """Run git without the machine's own configuration."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.com",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.com",
    }
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def start_git(cluster: Cluster, directory: Path) -> GitHost:
    """Start the Git server."""
    root, log, password_file = directory / "repositories", directory / "requests.jsonl", directory / "password"
    root.mkdir()
    password = f"pw-{secrets.token_hex(12)}"
    password_file.write_text(password)
    command = [str(REPOSITORY / "tests/servers/git_http.py"), "--bind", SERVICE_IPS[0], "--port", str(GIT_PORT)]
    command += ["--root", str(root), "--user", "ann", "--password-file", str(password_file), "--log", str(log)]
    server = cluster.serve(*command, ip=SERVICE_IPS[0], port=GIT_PORT)
    return GitHost(root, "ann", password, server, log)


class Installed:
    """The operator in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def install(self) -> None:
        """Apply what a user applies, with the tests' images."""
        self.cluster.kubectl("apply", "-f", str(REPOSITORY / "crds"))
        documents = list(yaml.safe_load_all((REPOSITORY / "deploy/operator.yaml").read_text()))
        for document in documents:
            if document["kind"] == "Deployment":
                # In a cluster that was there before, a pod of an older image of the same name has to go.
                document["spec"]["template"]["metadata"]["annotations"] = {"mlp.test/installed": secrets.token_hex(4)}
                container = document["spec"]["template"]["spec"]["containers"][0]
                container["image"] = OPERATOR.name
                container["env"] = [each for each in container["env"] if each["name"] != "MLP_RUNNER_IMAGE"]
                container["env"] += [
                    {"name": "MLP_RUNNER_IMAGE", "value": RUNNER.name},
                    # The tests' Git server has no certificate.
                    {"name": "MLP_GIT_PROTOCOLS", "value": "https,ssh,http"},
                    # Nor has their Databricks workspace, and it may be asked often.
                    {"name": "MLP_DATABRICKS_PLAIN_HTTP", "value": "true"},
                    {"name": "MLP_DATABRICKS_POLL_PERIOD", "value": "1"},
                ]
        self.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the operator works."""
        try:
            self.cluster.kubectl("-n", SYSTEM, "rollout", "status", "deployment/mlp-operator", "--timeout=90s")
        except ClusterError as error:
            pods = self.cluster.kubectl("-n", SYSTEM, "describe", "pods")
            raise AssertionError(f"{error}\n{pods}\n{self.logs()}") from error

    def pod(self) -> str:
        """The name of the operator's running pod."""
        found = self.cluster.kubectl(
            "-n",
            SYSTEM,
            "get",
            "pods",
            "--field-selector=status.phase=Running",
            "-o",
            "jsonpath={.items[*].metadata.name}",
        )
        return found.split()[0]

    def logs(self) -> str:
        """What the operator has logged, before its last restart too."""
        said = ""
        for previous in ("--previous=true", "--previous=false"):
            try:
                said += self.cluster.kubectl("-n", SYSTEM, "logs", "deployment/mlp-operator", previous)
            except ClusterError:
                continue
        return said

    def writes(self) -> dict[str, float]:
        """Requests of the operator that changed something, by verb and resource, Events apart."""
        text = self.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{self.pod()}:8080/proxy/metrics")
        found: dict[str, float] = {}
        for line in text.splitlines():
            if line.startswith("mlp_kube_requests_total{"):
                labels = dict(part.split("=", 1) for part in line[line.index("{") + 1 : line.index("}")].split(","))
                verb, resource = labels["verb"].strip('"'), labels["resource"].strip('"')
                if verb in ("POST", "PUT", "PATCH", "DELETE") and resource != "events":
                    key = f"{verb} {resource}"
                    found[key] = found.get(key, 0) + float(line.rsplit(" ", 1)[1])
        return found

    @contextmanager
    def with_setting(self, name: str, value: str) -> Iterator[None]:
        """With another setting for a while. It is started anew before and after."""
        set_env = ("-n", SYSTEM, "set", "env", "deployment/mlp-operator")
        self.cluster.kubectl(*set_env, f"{name}={value}")
        try:
            self.wait_ready()
            yield
        finally:
            self.cluster.kubectl(*set_env, f"{name}-")
            self.wait_ready()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Without the operator for a while."""
        self.cluster.kubectl("-n", SYSTEM, "scale", "deployment/mlp-operator", "--replicas=0")
        self.cluster.kubectl("-n", SYSTEM, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=mlp-operator")
        try:
            yield
        finally:
            self.cluster.kubectl("-n", SYSTEM, "scale", "deployment/mlp-operator", "--replicas=1")
            self.wait_ready()


class Workspace:
    """A namespace, seen by its user."""

    def __init__(self, cluster: Cluster, namespace: str, host: GitHost) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.host = host

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def give_credentials(self, *, password: str | None = None, name: str = "git-creds") -> None:
        """Create the Secret that runs name."""
        self.kubectl(
            "create",
            "secret",
            "generic",
            name,
            "--type=kubernetes.io/basic-auth",
            f"--from-literal=username={self.host.user}",
            f"--from-literal=password={password or self.host.password}",
        )

    def give_secret(self, name: str, values: dict[str, str]) -> None:
        """Create or change a Secret."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(secret))

    def manifest(
        self,
        name: str,
        repository: str,
        *,
        parameters: Mapping[str, str | dict[str, Any]] | None = None,
        secret: str | None = "git-creds",
        version: str | None = "main",
        entry_point: str | None = None,
        subdirectory: str | None = None,
        **spec: Any,
    ) -> dict[str, Any]:
        """A ProjectRun. A parameter that is no text is what its ``valueFrom`` has to hold."""
        project = {"uri": self.host.url(repository), "version": version, "entryPoint": entry_point}
        project |= {"subdirectory": subdirectory, "authSecretRef": {"name": secret} if secret else None}
        listed = [
            {"name": key, ("value" if isinstance(value, str) else "valueFrom"): value}
            for key, value in (parameters or {}).items()
        ]
        return {
            "apiVersion": "mlp.dev/v1alpha1",
            "kind": "ProjectRun",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "project": {key: value for key, value in project.items() if value is not None},
                **({"parameters": listed} if listed else {}),
                **spec,
            },
        }

    def apply(self, *manifests: dict[str, Any]) -> None:
        """``kubectl apply -f``."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def run(self, name: str) -> dict[str, Any]:
        """The ProjectRun as it is now."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "projectrun", name, "-o", "json"))
        return found

    def names(self, kind: str) -> list[str]:
        """The names of all objects of a kind."""
        return self.kubectl("get", kind, "-o", "jsonpath={.items[*].metadata.name}").split()

    def finish(self, name: str, *, seconds: float = 90.0) -> dict[str, Any]:
        """Wait until a run has ended; the run."""
        return self._wait(name, "jsonpath={.status.completionTime}", seconds)

    def await_condition(self, name: str, kind: str, reason: str, *, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until a condition of a run has this reason; the run."""
        wanted = f'jsonpath={{.status.conditions[?(@.type=="{kind}")].reason}}={reason}'
        return self._wait(name, wanted, seconds)

    def await_phase(self, name: str, phase: str, *, seconds: float = 90.0) -> dict[str, Any]:
        """Wait until a run is in a phase; the run."""
        return self._wait(name, f"jsonpath={{.status.phase}}={phase}", seconds)

    def _wait(self, name: str, wanted: str, seconds: float) -> dict[str, Any]:
        """Wait as its users do."""
        arguments = ("wait", f"--for={wanted}", f"projectrun/{name}", f"--timeout={seconds:g}s")
        try:
            self.kubectl(*arguments, timeout=seconds + 60)
        except ClusterError as error:
            raise AssertionError(f"{error}: {json.dumps(self.run(name).get('status'))}") from error
        return self.run(name)

    def patch(self, name: str, **spec: Any) -> None:
        """Change fields of a run's spec."""
        self.kubectl("patch", "projectrun", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def pod(self, name: str) -> str:
        """The name of a run's pod."""
        found: str = self.run(name)["status"]["kubernetes"]["podName"]
        return found

    def said(self, name: str, container: str = "main") -> str:
        """What a container of a run's pod has said."""
        return self.kubectl("logs", self.pod(name), "-c", container)

    def events(self, name: str) -> list[str]:
        """Reasons of the events about a run, oldest first."""
        listed = json.loads(self.kubectl("get", "events", "-o", "json"))["items"]
        own = [each for each in listed if each["involvedObject"]["kind"] == "ProjectRun"]
        own = [each for each in own if each["involvedObject"]["name"] == name]
        return [each["reason"] for each in sorted(own, key=lambda each: each["metadata"]["name"])]


def condition(run: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition of a run; empty if there is none."""
    return next((each for each in run["status"].get("conditions", ()) if each["type"] == kind), {})


def outcome(run: dict[str, Any]) -> tuple[str, str, str]:
    """A run's phase, and status and reason of its condition Succeeded."""
    succeeded = condition(run, "Succeeded")
    return run["status"]["phase"], succeeded["status"], succeeded["reason"]
