"""The operator as a process of its own, as a Deployment starts it, but with a kubeconfig instead of a pod's account."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.processes import Footprint
from tests.cluster.lifeline import die_with_parent
from tests.cluster.starting import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Operator"]

PATIENCE: Final = 60.0


class Operator:
    """A running operator."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process = process
        self._port = port
        self._log = log

    @classmethod
    @contextlib.contextmanager
    def running(cls, kubeconfig: Path, directory: Path, **variables: str) -> Iterator[Operator]:
        """An operator that is ready, for as long as the block lasts; it dies with this process in any case.

        Args:
            kubeconfig: Its cluster.
            directory: Where its log goes.
            variables: More of its settings.
        """
        port, log = free_port(), directory / "operator.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLP_", "KUBE"))}
        settings = {
            "KUBECONFIG": str(kubeconfig),
            "MLP_GIT_PROTOCOLS": "https,ssh,file",
            "MLP_HEALTH_HOST": "127.0.0.1",
            "MLP_HEALTH_PORT": str(port),
            "MLP_RUNNER_IMAGE": "mlp.test/runner:1",
            **variables,
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("mlp-operator"))],
                env={**kept, **settings},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # noqa: PLW1509 -- it makes one system call
            )
        operator = cls(process, port, log)
        try:
            operator._wait_until_ready()
            yield operator
        finally:
            operator.stop()

    def stop(self) -> None:
        """End it, and wait for that."""
        self._process.terminate()
        try:
            self._process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def footprint(self) -> Footprint:
        """What it has taken so far."""
        return Footprint.of(self._process.pid)

    def metrics(self) -> str:
        """What it says of itself to Prometheus."""
        status, text = self._ask("/metrics")
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"the operator's metrics answer {status}")
        return text

    def grumbles(self) -> list[str]:
        """Lines of its log that tell of trouble."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line for line in lines if any(f" {level} " in line for level in ("WARNING", "ERROR", "CRITICAL"))]

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if self._ask("/readyz")[0] == http.HTTPStatus.OK:
                    return
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the operator is not ready:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)

    def _ask(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
