"""A container's last words: one JSON object in the termination message, for the operator to read.

The kubelet cuts what is longer than 4096 bytes, and a cut object is none, so a long message is shortened here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["LARGEST", "Report", "StepTimes"]

LARGEST: Final = 4096
"""Bytes of a termination message."""

_ELLIPSIS: Final = "…"


@dataclass(frozen=True, slots=True)
class StepTimes:
    """When a step ran, and how it went. A failed one ends with its failure."""

    name: str
    started: datetime
    completed: datetime
    state: Literal["Succeeded", "Failed"] = "Succeeded"


@dataclass(frozen=True, slots=True)
class Report:
    """How the steps went.

    Attributes:
        reason: ``Completed``, or the error's CamelCase word.
        message: What was done, or what is wrong and the way out.
        steps: Those that began, in their order, but for one that ended only because another had failed.
    """

    reason: str
    message: str
    steps: tuple[StepTimes, ...] = ()

    def to_json(self) -> str:
        """The report as JSON of at most `LARGEST` bytes; the message is shortened to that end."""
        text = self._dump(self.message)
        length = len(self.message)
        while len(text.encode()) > LARGEST:
            # A character takes six bytes at most (an escaped control character), so this never cuts too much.
            excess = len(text.encode()) - LARGEST
            length = max(0, length - max(1, excess // 6))
            text = self._dump(self.message[:length] + _ELLIPSIS)
        return text

    def _dump(self, message: str) -> str:
        steps = [
            {
                "name": step.name,
                "state": step.state,
                "startTime": _stamp(step.started),
                "completionTime": _stamp(step.completed),
            }
            for step in self.steps
        ]
        # A surrogate (a file name that is not UTF-8) could not be written.
        clean = message.encode(errors="replace").decode()
        value = {"reason": self.reason, "message": clean, "steps": steps}
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
