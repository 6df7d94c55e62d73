"""One line of a run's log, and which step of the run has written it. Pure: no cluster is asked.

A container that prepares a run may carry out several steps. Each begins with a heading; of steps that go on side by
side, each line begins with the step's name in brackets.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from mlp.resources.names import ENVIRONMENT_CONTAINER, FETCH_CONTAINER, MAIN_CONTAINER, PREPARE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STEPS", "LogLine", "Writer", "last_of_each_step"]

STEPS: Final = ("clone", "data", "environment", "main")
"""Every step that a run can have, in their order."""

_FIRST: Final = {
    PREPARE_CONTAINER: "clone",
    FETCH_CONTAINER: "clone",
    ENVIRONMENT_CONTAINER: "environment",
    MAIN_CONTAINER: "main",
}
_NAMES: Final = "|".join(STEPS)
_HEADING: Final = re.compile(rf"=== Step ({_NAMES}) ===")
_PREFIX: Final = re.compile(rf"\[({_NAMES})\] ?")


class LogLine(NamedTuple):
    """One line of a container."""

    container: str
    text: str
    step: str = ""
    """Empty for a container that is none of mlp's."""
    moment: str = ""
    """When it was written, as RFC 3339."""
    pod: str = ""

    def __str__(self) -> str:
        """The line as people read it: main's as it is, another's with its step or container in front."""
        return self.text if self.container == MAIN_CONTAINER else self.marked

    @property
    def marked(self) -> str:
        """The line with the step (or container) that has written it in front."""
        return f"[{self.step or self.container}] {self.text}"


class Writer:
    """Tells the steps apart whose lines one container has written. It is given them in their order."""

    def __init__(self, container: str) -> None:
        self._step = _FIRST.get(container, "")
        self._prepares = container != MAIN_CONTAINER and bool(self._step)

    def read(self, text: str) -> tuple[str, str]:
        """The step that wrote a line, and the line without the step's name."""
        if not self._prepares:  # what a project writes is never ours to read
            return self._step, text
        if prefix := _PREFIX.match(text):
            return prefix[1], text[prefix.end() :]
        if heading := _HEADING.fullmatch(text):
            self._step = heading[1]
        return self._step, text


def last_of_each_step(lines: Sequence[LogLine], count: int) -> list[LogLine]:
    """The last lines of each step, in the order in which they were written."""
    left = Counter(line.step for line in lines)
    kept = []
    for line in lines:
        if left[line.step] <= count:
            kept.append(line)
        left[line.step] -= 1
    return kept
