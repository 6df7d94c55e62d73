"""What runs on this machine, for tests that make sure that nothing is left behind.

Asking the kernel by signal 0 is not enough: a process that has ended is still there for it until its parent has asked
for its status, and the parent of what a shell leaves behind is process 1, which may take its time.
"""

from __future__ import annotations

from pathlib import Path


def running_in(group: int) -> list[str]:
    """The command lines of a process group's processes, apart from those that have ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The name before ")" may hold anything; behind it stand the state, the parent and the group.
            state, _, its_group = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            command = (entry / "cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if int(its_group) == group and state not in {"Z", "X"}:
            found.append(command)
    return found
