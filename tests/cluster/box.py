"""The first process of a test node's own network, mount, pid, uts and ipc namespaces.

Prepares the namespaces, starts every component, says "ready" on standard output, then reaps. When it ends (the keeper
kills it, or dies) the kernel ends every process, mount and interface of the cluster with it. What is not namespaced
(the kernel's global settings, directories that programs insist on) is covered, so that the machine outside does not
change.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.cluster import cgroups, configuration
from tests.cluster.components import Components
from tests.cluster.layout import API_IP, COVERED, NODE, NODE_IP, SERVICE_IPS, Layout
from tests.cluster.packages import find

TUNABLES: Final = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
"""What kubelet sets for the whole machine. It finds these values in files of ours instead, and has nothing to set."""


def run(*command: str) -> None:
    """Run a program of the administrator's directories; its complaint is the error."""
    done = subprocess.run([find(command[0]) or command[0], *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def prepare_mounts(layout: Layout) -> None:
    """Make the mount namespace fit for pods, and keep writes from the machine's directories."""
    run("mount", "--make-shared", "/")  # pods may ask for mountPropagation
    for directory in COVERED:
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    for directory in ("/run/netns", "/run/lock"):
        Path(directory).mkdir()
    values = layout.base / "tunables"
    for name, value in TUNABLES.items():
        source, target = values / name, Path("/proc/sys") / name
        if target.exists():
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(f"{value}\n")
            run("mount", "--bind", str(source), str(target))


def prepare_network() -> None:
    """Give the node and the tests' servers their addresses."""
    socket.sethostname(NODE)
    run("ip", "link", "set", "lo", "up")
    for address in (API_IP, NODE_IP, *SERVICE_IPS):
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def start(components: Components) -> None:
    """Start everything, each as soon as what it needs is there."""
    layout = components.layout
    components.start_etcd(peer="http://127.0.0.1:2380")
    components.start("containerd", "-c", str(configuration.containerd_file(layout)), program=find("containerd"))
    components.wait_for("etcd", components.etcd_is_healthy)
    components.start_api_server(
        "--bind-address=0.0.0.0",
        "--secure-port=443",
        f"--advertise-address={NODE_IP}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-client-certificate={layout.pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={layout.pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
    )
    components.wait_for("containerd", layout.containerd_socket.is_socket)
    run("ctr", "-a", str(layout.containerd_socket), "-n", "k8s.io", "image", "import", str(layout.pause_archive))
    components.wait_for_api_server()
    components.start_kubelet()
    components.start_controller_manager()
    components.start_scheduler()
    components.start("kube-proxy", f"--config={configuration.kube_proxy_file(layout)}")
    components.wait_for("the node", lambda: node_is_ready(components))
    components.wait_for_default_account()


def node_is_ready(components: Components) -> bool:
    """Does the node's condition Ready hold, and may pods be put on it."""
    body = components.has(f"/api/v1/nodes/{NODE}")
    if body is None:
        return False
    node = json.loads(body)
    conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


def reap(components: Components) -> str:
    """Collect every process that ends here, orphans of containers too, until one of ours does: its name."""
    names = {process.pid: name for name, process in components.processes.items()}
    while True:
        pid, _ = os.wait()
        if pid in names:
            return names[pid]


def main() -> int:
    """Be the first process."""
    layout = Layout.from_json(sys.argv[1])
    components = Components(layout, etcd="http://127.0.0.1:2379", api=f"https://{API_IP}:443")
    try:
        prepare_mounts(layout)
        prepare_network()
        cgroups.create(layout.name)
        start(components)
        print("ready", flush=True)
        ended = reap(components)
        print(f"{ended} ended:\n{components.tail(ended)}", flush=True)
    except (OSError, RuntimeError) as error:
        print(error, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
