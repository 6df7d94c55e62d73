"""What a run on Databricks has left behind. Pure: an answer of runs/get-output in, text out.

Databricks keeps the last 5 MB of what a task wrote, and tells of it once the task has ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.databricks.outcome import in_its_own_words, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Output", "output_of"]

_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Databricks colours its traces for a terminal; a status and a ConfigMap are none."""
_FRAME: Final = re.compile(r"^\s*File \S")
_BLOCK: Final = re.compile(r"^Traceback |\bTraceback \(most recent call last\)")
_BOOTSTRAP: Final = re.compile(r"\bbootstrap(-\w+)?\.py\b.*\bin run_script\b")
_RUNPY: Final = re.compile(r"<frozen runpy>|/runpy\.py\b")
_LAST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Output:
    """What a task wrote, and what Databricks says of its end.

    Attributes:
        log: The end of its standard output.
        error: The error in a line; None where there is none.
        trace: Where in the program it happened; None where there is none.
        truncated: Whether the log has lost its beginning.
    """

    log: str = ""
    error: str | None = None
    trace: str | None = None
    truncated: bool = False

    @property
    def place(self) -> str | None:
        """Where in the project it happened; None where there is no trace, and where the trace is mlp's own."""
        return None if self.trace is None or is_ours(self.error) else _within_project(self.trace)

    def last_lines(self) -> tuple[str, ...]:
        """The last lines of the log."""
        return tuple(self.log.splitlines()[-_LAST_LINES:])

    def lines(self, *, page_url: str | None = None) -> Iterator[str]:
        """All of it, for a reader: the log, then the error and where it happened, then where there is more.

        Args:
            page_url: The run's page in the workspace.
        """
        if self.truncated:
            yield "[The beginning is missing: Databricks keeps the end of a log.]"
        yield from self.log.splitlines()
        if self.error is not None:
            yield from f"Error: {in_its_own_words(self.error)}".splitlines()
        if (place := self.place) is not None and place != self.error:
            yield from place.splitlines()
        if page_url is not None and (self.truncated or self.error is not None):
            yield f"See {page_url}"

    def tail(self, longest: int) -> Output:
        """The same with a log of so many bytes of UTF-8 at the most: its last whole lines, or the end of a long one."""
        encoded = self.log.encode()
        if len(encoded) <= longest:
            return self
        rest = encoded[len(encoded) - longest :] if longest > 0 else b""
        # A line that is not here from its beginning is left out, unless there is no other.
        _, _, whole = rest.partition(b"\n")
        return Output((whole or rest).decode(errors="ignore"), self.error, self.trace, truncated=True)


def output_of(answer: Mapping[str, Any]) -> Output:
    """Understand what runs/get-output says of a task."""
    return Output(
        log=_text(answer.get("logs")) or "",
        error=_plain(answer.get("error")),
        trace=_plain(answer.get("error_trace")),
        truncated=answer.get("logs_truncated") is True,
    )


def _within_project(trace: str) -> str:
    """A trace without the frames by which a script was started: the driver's, the bootstrap's, and Python's own."""
    lines = trace.splitlines()
    begin = next((number for number, line in enumerate(lines) if _BOOTSTRAP.search(line)), None)
    if begin is None:
        return trace
    block = max((number for number in range(begin) if _BLOCK.search(lines[number])), default=-1)
    frames = (number for number in range(len(lines)) if _FRAME.match(lines[number]))
    first = end = None
    for number in frames:
        if number > block and first is None:
            first = number
        if number > begin and not _RUNPY.search(lines[number]):
            end = number
            break
    # Of a script that was never begun there is no frame; and one after another traceback's beginning is none of this.
    if first is None or end is None or any(_BLOCK.search(line) for line in lines[begin:end]):
        return trace
    return "\n".join(lines[:first] + lines[end:])


def _text(given: object) -> str | None:
    """A text that can be stored and printed: JSON may hold halves of characters."""
    return given.encode(errors="replace").decode() if isinstance(given, str) and given else None


def _plain(given: object) -> str | None:
    text = _text(given)
    return None if text is None else _COLOURS.sub("", text).strip() or None
