"""A real MLflow tracking server, as a pytest fixture: started by the first test that asks, gone with the session.

Also a program of its own, for a developer who wants one: ``python -m tests.servers.mlflow_server [DIRECTORY]``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_WITHIN = 180
"""Seconds; five where nothing else is going on."""
ATTEMPTS = 3


@dataclass(frozen=True)
class MlflowServer:
    """A server, and where it keeps things."""

    uri: str
    directory: Path

    @property
    def port(self) -> int:
        return int(self.uri.rpartition(":")[2])

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory) -> Iterator[MlflowServer]:
    """The session's MLflow server. It is shared: a test makes experiments of its own."""
    with running(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@contextlib.contextmanager
def running(directory: Path) -> Iterator[MlflowServer]:
    """A server on 127.0.0.1 that keeps its database, artifacts and log in a directory."""
    with contextlib.ExitStack() as stack:
        for attempt in range(1, ATTEMPTS + 1):
            # The server cannot take a port that the kernel chooses, and somebody else may take the one we found.
            server = MlflowServer(f"http://127.0.0.1:{_free_port()}", directory)
            process = stack.enter_context(_process(server))
            if _is_ready(server, process):
                break
            if attempt == ATTEMPTS or "address already in use" not in server.log.lower():
                pytest.fail(f"The MLflow server does not start:\n{server.log}")
        yield server


@contextlib.contextmanager
def _process(server: MlflowServer) -> Iterator[subprocess.Popen]:
    program = Path(sys.executable).with_name("mlflow")
    command = [
        *(str(program), "server", "--host", "127.0.0.1", "--port", str(server.port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{server.directory / 'mlflow.db'}"),
        *("--artifacts-destination", str(server.directory / "artifacts")),
    ]
    # Jobs would be ten processes that no test needs.
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "MLP_"))}
    with (
        (server.directory / "server.log").open("ab") as log,
        subprocess.Popen(
            command,
            cwd=server.directory,
            env=inherited | own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            # The whole group: the server starts a worker of its own, which would outlive it. A graceful end takes five
            # seconds, and what it keeps is thrown away.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _is_ready(server: MlflowServer, process: subprocess.Popen) -> bool:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        # /health answers before the database does, and to every host name.
        with contextlib.suppress(requests.RequestException), requests.Session() as session:
            # The machine's proxies are for elsewhere.
            session.trust_env = False
            address = f"{server.uri}/api/2.0/mlflow/experiments/search"
            answer = session.post(address, json={"max_results": 1}, timeout=10)
            if answer.ok and "experiments" in answer.json():
                return True
        time.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def main() -> None:
    with contextlib.ExitStack() as stack:
        given = sys.argv[1:2] or [stack.enter_context(tempfile.TemporaryDirectory(prefix="mlflow-"))]
        directory = Path(given[0]).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        server = stack.enter_context(running(directory))
        print(server.uri, flush=True)
        # Ended as it may be, it takes the server with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
