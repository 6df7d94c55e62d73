"""What a running process takes of the machine, from /proc. Linux only, as the test cluster is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Footprint"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process has taken so far.

    Attributes:
        resident: Bytes of memory now (VmRSS).
        peak: The most bytes of memory so far (VmHWM).
        processor: Seconds of processor time, ended children (git) included.
    """

    resident: int
    peak: int
    processor: float

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Read it."""
        proc = Path("/proc", str(pid))
        sizes = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        # Behind the name in parentheses; utime, stime, cutime and cstime are fields 14 to 17 of the whole line.
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        return cls(_bytes(sizes["VmRSS"]), _bytes(sizes["VmHWM"]), sum(map(int, fields[11:15])) / _TICKS)


def _bytes(text: str) -> int:
    return int(text.removesuffix("kB")) * 1024
