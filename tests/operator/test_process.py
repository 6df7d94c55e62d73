"""The operator as a process: what it says when it cannot start, and how it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster import Cluster

CRDS = Path(__file__).parents[2] / "crds"


def start(kubeconfig: Path, log: Path, **settings: str) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(log.parent), "KUBECONFIG": str(kubeconfig)}
    environment |= {"MLP_HEALTH_HOST": "127.0.0.1", "MLP_HEALTH_PORT": "0", **settings}
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, "-m", "mlp_operator"], env=environment, stdout=out, stderr=out)


def wait_for_line(log: Path, text: str, *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(api_server: Cluster, tmp_path: Path, number: signal.Signals) -> None:
    api_server.kubectl("apply", "-f", str(CRDS))
    log = tmp_path / "log"
    process = start(api_server.kubeconfig, log, MLP_NAMESPACES="default")
    try:
        wait_for_line(log, "authentication has finished")
        time.sleep(1)
        process.send_signal(number)
        assert process.wait(timeout=20) == 0, log.read_text()
        assert "stopping" in log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_without_a_cluster_it_says_so_and_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(tmp_path / "no-such-kubeconfig", log)
    assert process.wait(timeout=20) == 1
    assert "Set KUBECONFIG" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_setting_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(tmp_path / "no-such-kubeconfig", log, MLP_WORKERS="many")
    assert process.wait(timeout=20) == 1
    assert log.read_text().startswith("mlp-operator: MLP_WORKERS must be a whole number, not 'many'")
