"""Starting a cluster as children of this process (the keeper): a node in namespaces, or a control plane."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import configuration, oci, pki
from tests.cluster.components import Components
from tests.cluster.layout import API_IP, PAUSE_IMAGE, REPOSITORY, Layout, Running
from tests.cluster.lifeline import die_with_parent
from tests.cluster.packages import find

if TYPE_CHECKING:
    from collections.abc import Callable

Started = tuple[Running, "Callable[[], str]"]
"""What runs, and a function that waits until a part of it has ended and says which."""


def start(layout: Layout) -> Started:
    """Start a cluster of the layout's kind in its empty base directory."""
    return start_node(layout) if layout.kind == "node" else start_control_plane(layout)


def start_node(layout: Layout) -> Started:
    """Start a whole node in namespaces of its own, and a port of this machine that leads to its API server."""
    prepare(layout, server=f"https://{API_IP}:443")
    configuration.write(layout)
    catatonit = Path(find("catatonit") or "catatonit")
    # As the first process of a pod's namespaces catatonit sleeps (-P) and reaps.
    oci.write_program_image(
        layout.pause_archive, name=PAUSE_IMAGE, program=catatonit, entrypoint=("/pause", "-P"), user="65535:65535"
    )
    namespaces = ("--net", "--mount", "--pid", "--uts", "--ipc")
    manner = ("--fork", "--kill-child", "--mount-proc", "--propagation", "slave")
    outer = subprocess.Popen(
        ["unshare", *namespaces, *manner, sys.executable, "-m", "tests.cluster.box", layout.to_json()],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent,  # noqa: PLW1509 -- it makes one system call
        text=True,
    )
    said = outer.stdout
    assert said is not None
    if (line := said.readline()) != "ready\n":
        outer.kill()  # the first process of the node goes with it; what it had to say is in the pipe
        raise RuntimeError(line + said.read())
    (box,) = children(outer.pid)
    forwarder, port = forward(box, API_IP, 443, listen=layout.port)
    pki.write_kubeconfig(layout.pki, "host", user="admin", server=f"https://127.0.0.1:{port}")

    def wait() -> str:
        # The first process of the node is the only one that holds this pipe.
        reason = said.read()
        forwarder.kill()
        return reason

    return Running(layout, os.getpid(), box), wait


def start_control_plane(layout: Layout) -> Started:
    """Start the API server and its controllers as ordinary processes, with the flags that envtest uses."""
    etcd, api = (f"127.0.0.1:{port}" for port in (free_port(), layout.port or free_port()))
    prepare(layout, server=f"https://{api}")
    components = Components(layout, etcd=f"http://{etcd}", api=f"https://{api}")
    components.start_etcd(peer="http://127.0.0.1:0")
    components.wait_for("etcd", components.etcd_is_healthy)
    components.start_api_server(
        "--bind-address=127.0.0.1",
        f"--secure-port={api.rpartition(':')[2]}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
    )
    components.wait_for_api_server()
    components.start_controller_manager()
    components.wait_for_default_account()
    pki.write_kubeconfig(layout.pki, "host", user="admin", server=f"https://{api}")

    def wait() -> str:
        ended, _ = os.wait()
        names = [name for name, process in components.processes.items() if process.pid == ended]
        return "\n".join(f"{name} ended:\n{components.tail(name)}" for name in names)

    return Running(layout, os.getpid(), None), wait


def prepare(layout: Layout, *, server: str) -> None:
    """Make what both kinds need: directories, keys, kubeconfigs for the components."""
    for directory in (layout.run, layout.log):
        directory.mkdir()
    pki.create(layout.pki, server=server)


def forward(box: int, ip: str, port: int, *, listen: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Start a forwarder into a node's network: the process, which ends when its standard input does, and its port."""
    process, listening = _forwarder(box, ip, port, "into", listen)
    if listening is None:
        raise RuntimeError(f"port {listen} of 127.0.0.1 cannot be forwarded to {ip}:{port}; is it taken?")
    return process, listening


def publish(box: int, ip: str, *, local: int) -> tuple[subprocess.Popen[str], int]:
    """Start a forwarder out of a node's network: the process, which ends when its standard input does, and its port."""
    process, listening = _forwarder(box, ip, 0, "out-of", local)
    if listening is None:
        raise RuntimeError(f"no port of the cluster's {ip} can lead to port {local} of 127.0.0.1")
    return process, listening


def _forwarder(box: int, ip: str, port: int, direction: str, local: int) -> tuple[subprocess.Popen[str], int | None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.forward", str(box), ip, str(port), direction, str(local)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.communicate()
        return process, None
    return process, int(line)


def children(parent: int) -> list[int]:
    """The processes that a process has started and that still are."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
