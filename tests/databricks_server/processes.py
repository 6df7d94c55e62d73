"""The processes of a run: those of its process group, those that descend from them, those with the run's mark.

A cluster's machine goes with the cluster, and takes everything with it that a task has started, in whatever session.
Here that is looked up in /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MARK", "Process", "below", "end", "end_below", "is_there", "known_as", "of_run"]

MARK = "DATABRICKS_DOUBLE_RUN"
"""The variable that every process of a run inherits."""


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    group: int
    session: int
    began: int
    command: str
    marked: bool


def is_there(pid: int, began: int | None) -> bool:
    """Whether a process is running: one that has ended is still there until its parent asks, and does not count."""
    found = _stat(pid)
    return found is not None and (began is None or found[4] == began)


def known_as(pid: int) -> int:
    """The id by which this process can send signals to one that /proc knows by another.

    They differ for a double in the process namespace of a test cluster, which sees the machine's /proc.
    """
    level = _ids("self").index(os.getpid())
    ids = _ids(str(pid))
    if len(ids) <= level:
        raise ProcessLookupError(pid)
    return ids[level]


def _ids(name: str) -> list[int]:
    """A process's ids in its namespaces, from the outermost to its own."""
    try:
        lines = Path(f"/proc/{name}/status").read_text().splitlines()
    except OSError:
        return []
    return next(([int(word) for word in line.split()[1:]] for line in lines if line.startswith("NSpid:")), [])


def of_run(leader: int | None, mark: str) -> list[Process]:
    """The run's processes that are running."""
    wanted = f"{MARK}={mark}".encode()
    found: dict[int, Process] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        stat = _stat(int(entry.name))
        if stat is None:
            continue
        command = environment = b""
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        shown = command.replace(b"\0", b" ").decode(errors="replace").strip()
        found[stat[0]] = Process(*stat, shown, wanted in environment.split(b"\0"))
    ours = {
        pid
        for pid, each in found.items()
        if each.marked or (leader is not None and leader in {each.group, each.session})
    }
    grown = True
    while grown:
        more = {pid for pid, each in found.items() if each.parent in ours} - ours
        ours |= more
        grown = bool(more)
    return [found[pid] for pid in sorted(ours)]


def end(processes: list[Process], number: signal.Signals) -> None:
    """Send a signal."""
    for each in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if is_there(each.pid, each.began):
                os.kill(known_as(each.pid), number)


def below(directory: Path) -> dict[int, tuple[str, str]]:
    """The processes of all runs whose directories lie below one: by id, the run's directory and the command line."""
    beginning = f"{MARK}={directory}/".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or _stat(int(entry.name)) is None:
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            for variable in (entry / "environ").read_bytes().split(b"\0"):
                if variable.startswith(beginning):
                    found[int(entry.name)] = (variable.partition(b"=")[2].decode(), command)
    return found


def end_below(directory: Path) -> None:
    """SIGKILL to all of them, until none is left."""
    while found := below(directory):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(known_as(pid), signal.SIGKILL)
        time.sleep(0.01)


def _stat(pid: int) -> tuple[int, int, int, int, int] | None:
    """A running process's id, parent, group, session and start."""
    try:
        # The name before ")" may hold anything.
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if words[0] in {"Z", "X"}:
        return None
    return pid, int(words[1]), int(words[2]), int(words[3]), int(words[19])
