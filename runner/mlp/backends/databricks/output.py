"""What a run on Databricks has left behind. Pure: an answer of runs/get-output in, text out.

Databricks keeps the last 5 MB of what a task wrote, and tells of it once the task has ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Output", "output_of"]

_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Databricks colours its traces for a terminal; a status and a ConfigMap are none."""


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

    def lines(self, *, page_url: str | None = None) -> Iterator[str]:
        """All of it, for a reader: the log, then the error and where it happened, then where there is more.

        Args:
            page_url: The run's page in the workspace.
        """
        if self.truncated:
            yield "[The beginning is missing: Databricks keeps the end of a log.]"
        yield from self.log.splitlines()
        if self.error is not None:
            yield from f"Error: {self.error}".splitlines()
        if self.trace is not None and self.trace != self.error:
            yield from self.trace.splitlines()
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


def _text(given: object) -> str | None:
    """A text that can be stored and printed: JSON may hold halves of characters."""
    return given.encode(errors="replace").decode() if isinstance(given, str) and given else None


def _plain(given: object) -> str | None:
    text = _text(given)
    return None if text is None else _COLOURS.sub("", text).strip() or None
