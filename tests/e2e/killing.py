"""kill -9: of processes in containers, which are this machine's too, and of servers that come back where they were."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.e2e.installation import wait_until

if TYPE_CHECKING:
    import random
    from types import TracebackType

    from tests.cluster import OwnCluster


def running_containers(pod: dict[str, Any]) -> dict[str, str]:
    """The ids of a pod's containers that run, by their names."""
    status = pod["status"]
    every = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return {
        each["name"]: each["containerID"].rpartition("/")[2] for each in every if "running" in each.get("state", {})
    }


def processes_in(container: str) -> list[int]:
    """The processes of a container, by its id, apart from those that have ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if container in (process / "cgroup").read_text() and "\nState:\tZ" not in (process / "status").read_text():
                found.append(int(process.name))
    return sorted(found)


def first_process(container: str) -> list[int]:
    """The process that a container has begun with, and that all others of it end with; empty if it has ended."""
    found = []
    for process in processes_in(container):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process}/status").read_text()
            if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                found.append(process)
    return found


def kill_one(processes: list[int], chance: random.Random) -> str | None:
    """kill -9 one of these processes; what it was called, or None if none is left to be killed."""
    for process in chance.sample(processes, len(processes)):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{process}/comm").read_text().strip()
            os.kill(process, signal.SIGKILL)
            return name
    return None


class Mortal:
    """A server in the cluster's network that can be killed, and started again at the same address.

    Use as a context manager: it is there after its entry.

    Args:
        cluster: Whose network.
        command: The program and its arguments. It has to listen at the address itself.
        ip: One of SERVICE_IPS.
        port: One below 32768: nobody gets it by chance.
        log: Where everything goes that it says.
    """

    def __init__(self, cluster: OwnCluster, command: list[str], *, ip: str, port: int, log: Path) -> None:
        self._cluster, self._command, self._log = cluster, command, log
        self.ip, self.port = ip, port
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def address(self) -> str:
        """Where pods find it."""
        return f"http://{self.ip}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                self._cluster.inside(*self._command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = self._process

        def listens() -> bool:
            assert process.poll() is None, self._log.read_text(errors="replace")
            return self._cluster.takes_connections(self.ip, self.port)

        wait_until(f"{self._command[0]} listens", listens, seconds=240)

    def kill(self) -> None:
        """kill -9, with all that it has started, and wait until nobody listens any more."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        wait_until("nobody listens", lambda: not self._cluster.takes_connections(self.ip, self.port))


def program(name: str) -> str:
    """A program that is installed beside the tests."""
    return str(Path(sys.executable).with_name(name))
