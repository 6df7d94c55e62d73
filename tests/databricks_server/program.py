"""The double in a process of its own, as a test has it: for a real SIGKILL, and for the network of a test cluster."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from tests.databricks_server import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Program"]

REPOSITORY = Path(__file__).parents[2]
TO_STOP = 30
"""Seconds that it may take to end by itself."""


class Program:
    """A double that is another process.

    Args:
        directory: Where it keeps everything.
        host: The address that it listens on.
        port: The port; 0 for a free one, which it keeps. In another network it must be given.
        inside: What makes a command line one that runs elsewhere, such as `Cluster.inside`.
        reached_at: HOST:PORT where this process reaches it, if it is in another network.
        options: Keyword arguments of `DatabricksServer`, as JSON has them.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        inside: Callable[..., list[str]] | None = None,
        reached_at: str | None = None,
        **options: Any,
    ):
        self.directory = directory
        self.tokens: Mapping[str, str] = options.setdefault(
            "tokens", {f"dapi{secrets.token_hex(16)}": "ann@example.com"}
        )
        self._control_token = options.setdefault("control_token", secrets.token_hex(16))
        self._inside = inside
        self._reached_at = reached_at
        self._reservation: socket.socket | None = None
        self._process: subprocess.Popen[str] | None = None
        self.host, self.port = host, port
        if inside is None:
            # Bound, the port is given to nobody else while the program is not there.
            self._reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reservation.bind((host, port))
            self.port = self._reservation.getsockname()[1]
        directory.mkdir(parents=True, exist_ok=True)
        self._configuration = directory / "configuration.json"
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(json.dumps(options, default=str))

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def reached_at(self) -> str:
        """HOST:PORT where this process reaches it."""
        return self._reached_at or f"{self.host}:{self.port}"

    @property
    def token(self) -> str:
        return next(iter(self.tokens))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start it, and wait until it serves."""
        command = [
            *(sys.executable, "-m", "tests.databricks_server", "--directory", str(self.directory)),
            *("--configuration", str(self._configuration), "--host", self.host, "--port", str(self.port)),
        ]
        self._process = subprocess.Popen(
            self._inside(*command) if self._inside else command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self.kill()
            raise RuntimeError("the double does not start")
        return self

    def kill(self) -> None:
        """SIGKILL: what the runs have started goes on."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: no process of any run is left."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Leave nothing of it."""
        self.stop()
        processes.end_below(self.directory / "runs")
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    def call(self, name: str, **given: Any) -> Any:
        """One of `DatabricksServer.control`'s calls."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                f"http://{self.reached_at}/double/{name}",
                json=given,
                headers={"X-Double-Token": self._control_token},
                timeout=60,
            )
            found = answer.json()
        if not answer.ok:
            raise RuntimeError(found["message"])
        return found["result"]

    def runs(self) -> list[dict[str, Any]]:
        """All runs, as `DatabricksServer.runs` gives them."""
        found: list[dict[str, Any]] = self.call("runs")
        return found

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.communicate(timeout=TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._process = None
