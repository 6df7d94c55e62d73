"""A cluster ends with its owner, whatever happens to it, and leaves nothing on the machine."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster import Missing, cgroups
from tests.cluster.box import TUNABLES
from tests.cluster.cluster import stop
from tests.cluster.fixtures import own_kind
from tests.cluster.layout import COVERED, REPOSITORY
from tests.cluster.packages import find
from tests.cluster.starting import children

DIRECTORIES = (*COVERED, "/etc", "/opt", "/usr/lib", "/usr/libexec")


def outside() -> dict[str, object]:
    """The parts of this machine that a node could change."""
    firewall = subprocess.run([find("iptables"), "-S"], capture_output=True, text=True, check=False)
    nat = subprocess.run([find("iptables"), "-t", "nat", "-S"], capture_output=True, text=True, check=False)
    return {
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "firewall": firewall.stdout + nat.stdout,
        "kernel": {name: (Path("/proc/sys") / name).read_text() for name in TUNABLES},
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "host name": os.uname().nodename,
        "directories": {name: sorted(Path(name).iterdir()) for name in DIRECTORIES if Path(name).is_dir()},
        "namespaces": [line for line in Path("/proc/mounts").read_text().splitlines() if "nsfs" in line],
    }


def family(pid: int) -> dict[int, str]:
    """A process and all below it, with what tells each from a later process of the same number."""
    found = {pid: started(pid)}
    for child in children(pid):
        found |= family(child)
    return found


def started(pid: int) -> str:
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "never"
    return "never" if state == "Z" else fields[18]  # a zombie has ended, it waits for its parent to hear of it


def alive(processes: dict[int, str], *, patience: float = 10.0) -> list[str]:
    """Which of these processes are still there; those that the kernel or a closed pipe ends get a moment for it."""
    end = time.monotonic() + patience
    while left := [pid for pid, when in processes.items() if started(pid) == when != "never"]:
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in left]


def wait_until_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 30)[0], f"process {pid} has not ended"
    finally:
        os.close(descriptor)


@pytest.fixture
def owner():
    """Start a process that owns a cluster of a kind; whatever the test does, both are gone afterwards."""
    processes, bases = [], []

    def begin(kind):
        command = [sys.executable, "-m", "tests.cluster.owner", kind]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        found = json.loads(process.stdout.readline())
        bases.append(Path(found["base"]))
        return process, found

    yield begin
    for process in processes:
        process.kill()
        process.communicate()
    for base in bases:
        stop(base)


def test_a_node_whose_owner_is_killed_leaves_nothing(owner):
    if own_kind() != "node":
        raise Missing("a node needs root")
    before = outside()
    process, found = owner("node")
    # Everything below the owner: keeper, forwarders, a server of a test; and within, the node with a running pod.
    processes = family(process.pid)
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes}
    assert {"kubelet", "etcd", "kube-apiserver", "containerd-shim", "pause"} <= names
    assert cgroups.existing(found["name"])

    process.send_signal(signal.SIGKILL)
    wait_until_gone(found["keeper"])

    assert alive(processes) == []
    assert cgroups.existing(found["name"]) == []
    assert not Path(found["base"]).exists()
    assert found["base"] not in Path("/proc/mounts").read_text()
    assert outside() == before


def test_a_control_plane_whose_owner_is_killed_leaves_nothing(owner):
    process, found = owner("control-plane")
    processes = family(process.pid)
    process.send_signal(signal.SIGKILL)
    wait_until_gone(found["keeper"])
    assert alive(processes) == []
    assert not Path(found["base"]).exists()


def test_a_keeper_that_is_killed_takes_the_processes_with_it_and_down_removes_the_rest(owner):
    _, found = owner("control-plane")
    base = Path(found["base"])
    processes = family(found["keeper"])
    os.kill(found["keeper"], signal.SIGKILL)
    wait_until_gone(found["keeper"])
    assert alive(processes) == []
    assert stop(base)
    assert not base.exists()


def test_down_removes_no_directory_that_is_not_a_clusters(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "--base", str(tmp_path), "down"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "not a test cluster's directory" in done.stderr
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def as_an_ordinary_user(*command: str) -> list[str]:
    """The command without root's powers; in a user namespace, so that it may still read root's Python and cache."""
    if os.geteuid() != 0:
        return list(command)
    if shutil.which("unshare") is None:
        raise Missing("unshare not found: Debian's package util-linux")
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", *command]


def test_an_ordinary_user_has_a_control_plane_that_makes_pods_of_jobs(tmp_path):
    base = tmp_path / "cluster"

    def run(*arguments):
        command = as_an_ordinary_user(sys.executable, "-m", "tests.cluster", "--base", str(base), *arguments)
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    refused = run("up")
    assert (refused.returncode, base.exists()) == (1, False)
    assert "needs root" in refused.stderr
    up = run("up", "--control-plane")
    try:
        assert up.returncode == 0, up.stderr
        kubectl = [json.loads((base / "cluster.json").read_text())["layout"]["binaries"] + "/kubectl"]
        kubectl += ["--kubeconfig", up.stdout.strip()]
        subprocess.run([*kubectl, "create", "job", "one", "--image=none"], check=True, capture_output=True)
        waiting = [*kubectl, "wait", "pod", "-l", "job-name=one", "--for=create", "--timeout=20s"]
        subprocess.run(waiting, check=True, capture_output=True)
    finally:
        down = run("down")
    assert (down.returncode, base.exists()) == (0, False), down.stderr


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_what_a_machine_lacks_skips_a_test_aloud_but_fails_it_in_ci(ci, outcome):
    test = "tests/cluster/test_pods.py::test_a_restricted_pod_becomes_ready"
    command = as_an_ordinary_user(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test)
    environment = {**os.environ, "CI": ci}
    environment.pop("MLP_TEST_KUBECONFIG", None)
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert outcome in done.stdout
    assert "pods need a kubelet" in done.stdout
