"""What a container's own shells do with an entry point's command.

The command is written for bash, for a working directory and for signals that reach all of it; what an image has is not
known before it runs. So this is decided there, by a few lines for its sh.
"""

from __future__ import annotations

from typing import Final

__all__ = ["in_its_shell"]

# Entry points are written for bash. Small images have none, and mostly do without.
_LAUNCH: Final = """\
if ! command -v bash >/dev/null 2>&1; then exec sh -c "$2"; fi
if [ -t 0 ]; then exec bash -c "$2"; fi
exec bash -c "$1" bash "$2"
"""

# A container's first process hands a signal on to one other. Were that a bash which waits for what it has started, it
# would go on waiting at SIGINT, and end at SIGTERM, whereupon the rest is killed. So the command has a process group,
# as it has without a container, all of which gets the signal and the time to act on it. (A terminal sees to that
# itself.) With -m what is in the background can be interrupted; what this bash says of jobs is nobody's business.
_SUPERVISE: Final = """\
set -m
exec 3<&0 4>&2 2>/dev/null
bash -c "$1" <&3 2>&4 3<&- 4>&- &
patience=0
for signal in HUP INT QUIT TERM; do trap "patience=100; kill -s $signal -- -$!" "$signal"; done
while wait "$!"; status=$?; kill -0 "$!"; do :; done
wait "$!"; ended=$?
if [ "$ended" != 127 ]; then status=$ended; fi
while [ "$patience" -gt 0 ] && kill -0 -- "-$!" && sleep 0.1; do patience=$((patience - 1)); done
exit "$status"
"""


def in_its_shell(command: str) -> tuple[str, ...]:
    """The arguments behind the image: what the container executes for an entry point's command."""
    return ("sh", "-c", _LAUNCH, "sh", _SUPERVISE, command)
