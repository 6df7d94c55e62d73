"""kill -9 of the operator between any two of its requests: the run goes on as if nothing had happened."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cluster import Missing, OwnCluster
from tests.cluster.layout import API_IP
from tests.cluster.lifeline import enter
from tests.e2e.installation import Workspace, outcome, wait_until
from tests.e2e.interception import Interception, Moment
from tests.images import RUNNER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.e2e.installation import GitHost, Installed

AT_ONCE = 4
WATCHES = 3
REQUESTS = 9
"""One life takes fewer requests than this: credentials, Job, three statuses, and the events about them."""


@contextmanager
def operator(cluster: OwnCluster, proxy: Interception, namespace: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The operator as a process in the cluster's network, for one namespace."""
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(proxy.kubeconfig),
        "HOME": str(log.parent),
        "TMPDIR": str(log.parent),
        "MLP_NAMESPACES": namespace,
        "MLP_RUNNER_IMAGE": RUNNER.name,
        "MLP_GIT_PROTOCOLS": "https,ssh,http",
        "MLP_HEALTH_HOST": "127.0.0.1",
        "MLP_HEALTH_PORT": "0",
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            cluster.inside(sys.executable, "-m", "mlp_operator"), env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Death:
    """A moment to die at: the n-th request after the run was applied."""

    number: int
    moment: Moment


def live_through(cluster: OwnCluster, host: GitHost, directory: Path, death: Death) -> str | None:
    """One run with an operator that dies once; at which request it died, or None if there were not that many."""
    namespace = f"crash-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", namespace)
    try:
        space = Workspace(cluster, namespace, host)
        space.give_credentials()
        manifest = space.manifest("run", "probe.git", parameters={"text": "once"})
        log = directory / "operator.log"
        box = cluster.running.box
        assert box is not None
        with Interception(cluster.kubeconfig, f"https://{API_IP}:443", directory, lambda: enter(box, "net")) as proxy:
            with operator(cluster, proxy, namespace, log) as first:
                wait_until("it watches runs, Jobs and pods", lambda: proxy.watches >= WATCHES, seconds=60)
                proxy.arm(first.pid, death.number, death.moment)
                space.apply(manifest)
                wait_until(
                    "it died, or the run has ended",
                    lambda: first.poll() is not None or space.run("run")["status"]["phase"] == "Succeeded",
                    seconds=90,
                )
            with operator(cluster, proxy, namespace, log):
                run = space.finish("run", seconds=90)
            assert outcome(run) == ("Succeeded", "True", "Succeeded"), (death, proxy.killed_at, run["status"])
            assert space.names("jobs") == ["run"], (death, proxy.killed_at)
            assert len(space.names("pods")) == 1, (death, proxy.killed_at)
            assert run["status"]["attempts"] == 1
            assert run["status"]["project"]["command"] == "python probe.py once"
            made = [name for name in proxy.requests if name == f"POST /apis/batch/v1/namespaces/{namespace}/jobs"]
            assert len(made) <= 2, made  # the second, if any, met the first one's Job
            return proxy.killed_at
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.timeout(600)
def test_the_operator_may_die_between_any_two_requests(
    cluster: Cluster, installed: Installed, git_host: GitHost, tmp_path: Path
) -> None:
    if not isinstance(cluster, OwnCluster):
        raise Missing("the operator has to run in the cluster's network, which is open only in the suite's own cluster")
    deaths = [Death(number, moment) for number in range(1, REQUESTS + 1) for moment in ("before", "after")]
    with installed.away(), ThreadPoolExecutor(AT_ONCE) as pool:
        directories = [tmp_path / f"{death.moment}-{death.number}" for death in deaths]
        for directory in directories:
            directory.mkdir()
        found = list(
            pool.map(
                lambda pair: live_through(cluster, git_host, pair[1], pair[0]), zip(deaths, directories, strict=True)
            )
        )
    killed = {re.sub("/namespaces/[^/]+/", "/namespaces/NS/", each) for each in found if each is not None}
    for needed in (
        "before POST /apis/batch/v1/namespaces/NS/jobs",
        "after POST /apis/batch/v1/namespaces/NS/jobs",
        "before PATCH /apis/mlp.dev/v1alpha1/namespaces/NS/projectruns/run/status",
        "after PATCH /apis/mlp.dev/v1alpha1/namespaces/NS/projectruns/run/status",
    ):
        assert needed in killed, sorted(killed)
