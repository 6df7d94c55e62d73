"""A test cluster, as tests and people use it.

Start or find one, ask it with kubectl, load images, put servers into its network. What keeps it alive and what runs in
it is the business of other modules.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.cluster import binaries, packages
from tests.cluster.archives import write_merged
from tests.cluster.holding import InUseError, hold, remove
from tests.cluster.layout import COVERED, REPOSITORY, SERVICE_IPS, Kind, Layout, Running
from tests.cluster.lifeline import enter
from tests.cluster.packages import Missing
from tests.cluster.starting import forward, publish

if TYPE_CHECKING:
    from collections.abc import Mapping

INSIDE: Final = Path(__file__).with_name("inside.py")
STOP_PATIENCE: Final = 60.0


class ClusterError(RuntimeError):
    """The cluster, or a command on it, failed; the message is the program's own."""


class Server:
    """A server process in a cluster's network."""

    def __init__(self, process: subprocess.Popen[bytes], ip: str, log: Path) -> None:
        self.process = process
        self.ip = ip
        self.log = log

    def stop(self) -> None:
        """End it, and wait for that."""
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()  # what it started dies with it
            self.process.wait()


class Cluster:
    """A cluster that can be reached with a kubeconfig. This much is true of other people's clusters too."""

    has_node = True
    """Does it run pods."""

    def __init__(self, kubeconfig: Path, kubectl_program: str) -> None:
        self.kubeconfig = kubeconfig
        self._kubectl = kubectl_program

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl as administrator; its standard output. Raises ClusterError with its complaint."""
        command = [self._kubectl, f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def load(self, *archives: Path) -> None:
        """Load image archives (as `docker save` writes them) into the node."""
        kind = shutil.which("kind")
        if kind is None or "kind" not in (context := self.kubectl("config", "current-context").strip()):
            raise Missing("images cannot be loaded into this cluster: it is neither the suite's own nor kind's")
        for archive in archives:
            command = [kind, "load", "image-archive", str(archive), "--name", context.removeprefix("kind-")]
            subprocess.run(command, check=True, capture_output=True)

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command in the cluster's network."""
        raise Missing(f"{command[0]} cannot be run in the network of a cluster that is not the suite's own")

    def serve(self, *command: str, ip: str = SERVICE_IPS[0], port: int | None = None, **_: object) -> Server:
        """Start a server that the pods of the cluster can reach."""
        raise Missing(f"{command[0]} cannot serve {ip}:{port} in a cluster that is not the suite's own")

    def forward(self, ip: str, port: int) -> int:
        """A port of 127.0.0.1 that leads to a port in the cluster's network."""
        raise Missing(f"{ip}:{port} cannot be reached in a cluster that is not the suite's own")

    def publish(self, local: int) -> str:
        """Let pods reach a server of this machine; where they find it, as HOST:PORT."""
        raise Missing(f"port {local} of 127.0.0.1 cannot be reached by pods of a cluster that is not the suite's own")

    def mount_memory(self, directory: Path, options: str) -> None:
        """A file system of its own in a directory of the node."""
        raise Missing(f"{directory} ({options}): nothing can be mounted on a node that is not the suite's own")


class OwnCluster(Cluster):
    """A cluster that this package started."""

    def __init__(self, running: Running, keeper: subprocess.Popen[str] | None = None) -> None:
        super().__init__(running.layout.kubeconfig, running.layout.binary("kubectl"))
        self.running = running
        self.layout = running.layout
        self.has_node = running.box is not None
        self._keeper = keeper
        self._servers: list[Server] = []
        self._forwarders: list[subprocess.Popen[str]] = []

    def load(self, *archives: Path) -> None:
        """Load image archives (as `docker save` writes them) into containerd, where pods find them."""
        importing = subprocess.Popen(
            self._ctr("import", "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert importing.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # ctr has ended; it says why
            write_merged(archives, importing.stdin)
        _, complaint = importing.communicate()
        if importing.returncode:
            raise ClusterError(f"{', '.join(map(str, archives))} cannot be loaded: {complaint.decode().strip()}")

    def images(self) -> list[str]:
        """The names of the images that pods find."""
        return subprocess.run(self._ctr("list", "-q"), capture_output=True, text=True, check=True).stdout.split()

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command (with this machine's files) in the cluster's network."""
        return [sys.executable, str(INSIDE), str(self._box()), *command]

    def serve(
        self,
        *command: str,
        ip: str = SERVICE_IPS[0],
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        patience: float = 20.0,
        **_: object,
    ) -> Server:
        """Start a server in the cluster's network; it ends with the cluster at the latest.

        Args:
            command: The program and its arguments; a first word that ends in .py is run by this Python. It must itself
                listen on `ip`.
            ip: One of SERVICE_IPS: pods and, through `forward`, this machine reach it there.
            port: Wait until this port of `ip` takes connections.
            env: Its whole environment, if not this process's.
            patience: Seconds to wait for the port.
        """
        words = [sys.executable, *command] if command[0].endswith(".py") else list(command)
        log = self.layout.log / f"server-{len(self._servers)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.inside(*words), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env
            )
        server = Server(process, ip, log)
        self._servers.append(server)
        end = time.monotonic() + patience
        while port is not None and not self.takes_connections(ip, port):
            if process.poll() is not None or time.monotonic() > end:
                server.stop()
                raise ClusterError(f"{' '.join(words)} does not listen on {ip}:{port}:\n{log.read_text()}")
            time.sleep(0.05)
        return server

    def takes_connections(self, ip: str, port: int) -> bool:
        """Does somebody listen there, seen from inside the cluster's network."""
        box, connected = self._box(), threading.Event()

        def try_once() -> None:  # in a thread of its own: entering a namespace has no way back
            enter(box, "net")
            with contextlib.suppress(OSError), socket.create_connection((ip, port), timeout=2):
                connected.set()

        thread = threading.Thread(target=try_once)
        thread.start()
        thread.join()
        return connected.is_set()

    def forward(self, ip: str, port: int) -> int:
        """A port of 127.0.0.1 that leads to a port in the cluster's network, until the cluster stops."""
        process, local = forward(self._box(), ip, port)
        self._forwarders.append(process)
        return local

    def publish(self, local: int) -> str:
        """Let pods reach a server that listens on a port of 127.0.0.1; where they find it, as HOST:PORT."""
        process, port = publish(self._box(), SERVICE_IPS[1], local=local)
        self._forwarders.append(process)
        return f"{SERVICE_IPS[1]}:{port}"

    def mount_memory(self, directory: Path, options: str) -> None:
        """Mount a tmpfs with these options on a directory, as the node and its pods see it, until the cluster stops."""
        mount = ["nsenter", f"--mount=/proc/{self._box()}/ns/mnt", "--", "mount", "-t", "tmpfs", "-o", options]
        done = subprocess.run([*mount, "tmpfs", str(directory)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"nothing can be mounted on {directory}: {done.stderr.strip()}")

    def release(self) -> None:
        """End the servers and forwarders that this object has started; the cluster stays."""
        for server in self._servers:
            server.stop()
        for forwarder in self._forwarders:
            forwarder.communicate()
        self._servers, self._forwarders = [], []

    def stop(self) -> None:
        """End the cluster and wait until nothing of it is left. Raises ClusterError if it had ended by itself."""
        self.release()
        if self._keeper is None:
            _stop_keeper(self.running)
            return
        by_itself = self._keeper.poll() is not None
        said, _ = self._keeper.communicate(timeout=STOP_PATIENCE)
        if by_itself or self._keeper.returncode:
            raise ClusterError(f"the cluster ended by itself:\n{said}")

    def _ctr(self, *command: str) -> list[str]:
        self._box()
        return ["ctr", "-a", str(self.layout.containerd_socket), "-n", "k8s.io", "image", *command]

    def _box(self) -> int:
        if self.running.box is None:
            raise Missing("this cluster is a control plane alone: it has no node and no network of its own")
        return self.running.box


def plan(kind: Kind, *, base: Path, **numbers: float) -> Layout:
    """Make sure that everything a cluster of this kind needs is there, and lay it out. Raises Missing."""
    base = base.absolute()
    if kind == "node":
        if not packages.is_root():
            raise Missing("a node needs root (namespaces, cgroups, mounts); without it there is a control plane alone")
        packages.require(packages.NODE)
    else:
        packages.require(packages.CONTROL_PLANE)
    programs = binaries.directory(kind)
    for path in (base, programs):
        if kind == "node" and any(path.is_relative_to(place) for place in map(Path, COVERED)):
            raise Missing(f"{path}: a node hides {', '.join(COVERED)} from itself; point XDG_CACHE_HOME elsewhere")
    return Layout(base=base, binaries=programs, kind=kind, **numbers)  # type: ignore[arg-type]


def start(layout: Layout, *, owned: bool) -> OwnCluster:
    """Start a cluster. An owned one ends with this process, however this process ends; another one by `stop`."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.keeper", layout.to_json(), "owned" if owned else "free"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for the tests, which then stop the cluster in their own order
        text=True,
    )
    assert keeper.stdout is not None
    if (line := keeper.stdout.readline()) != "ready\n":
        said, _ = keeper.communicate()
        raise ClusterError(f"the cluster did not start:\n{line}{said}")
    running = Running.read(layout.base)
    assert running is not None
    return OwnCluster(running, keeper)


def start_for_this_process(kind: Kind) -> OwnCluster:
    """Start a cluster in a temporary directory, for as long as this process lives."""
    base = Path(tempfile.mkdtemp(prefix="mlp-cluster-"))
    try:
        return start(plan(kind, base=base), owned=True)
    except BaseException:
        with contextlib.suppress(OSError):
            base.rmdir()  # the keeper removes what it has touched
        raise


def find(kubeconfig: Path) -> Cluster:
    """The cluster that a kubeconfig leads to: one of ours with all it can do, else somebody's."""
    running = Running.read(kubeconfig.parent.parent)
    if running is not None and running.layout.kubeconfig == kubeconfig:
        return OwnCluster(running)
    kubectl = shutil.which("kubectl") or str(binaries.directory("control-plane") / "kubectl")
    return Cluster(kubeconfig, kubectl)


def stop(base: Path) -> bool:
    """Stop the cluster under `base`, or remove what a killed one has left; False where there is nothing."""
    running = Running.read(base)
    if running is not None and _stop_keeper(running):
        return True
    if not base.exists():
        return False
    with hold(base):
        name = Layout(base=base.absolute(), binaries=base).name
        remove(base, name)
    return True


def _stop_keeper(running: Running) -> bool:
    """Tell a keeper to end and wait until it has; False if it is not there any more."""
    try:
        with hold(running.layout.base):  # nobody else holds it: the number may be another process's by now
            return False
    except InUseError:
        pass
    descriptor = os.pidfd_open(running.keeper)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        end = time.monotonic() + STOP_PATIENCE
        while running.layout.base.exists():
            if time.monotonic() > end:
                raise ClusterError(f"{running.layout.base}: still there after {STOP_PATIENCE:.0f} s")
            time.sleep(0.05)
    finally:
        os.close(descriptor)
    return True
