"""`python inside.py PID COMMAND...`: run a command in the network of a test cluster, whose first process is PID.

The command also becomes one of the cluster's processes (its pid namespace), so it cannot outlive the cluster; and it is
killed with this program, which passes on SIGTERM and SIGINT and ends with the command's exit code. Files are the
machine's.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.cluster.lifeline import die_with_parent, enter


def main(pid: int, command: list[str]) -> int:
    """Run the command; its exit code, as a shell would tell it."""
    enter(pid, "net")
    enter(pid, "pid")
    child = subprocess.Popen(command, preexec_fn=die_with_parent)  # noqa: PLW1509 -- there is only one thread
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: child.send_signal(received))
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
