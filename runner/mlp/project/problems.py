"""What is found wrong or odd while a project is read: everything at once, each with its place.

Whoever runs a project needs the first mistake, whoever writes one all of them. Both get them from the same reading: a
mistake is raised where it is seen, and caught at the next thing that can be read without what was wrong. Nothing here
knows what a project consists of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlp.errors import ProjectInvalid

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from mlp.errors import MlpError

__all__ = ["Findings", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that somebody should put right.

    Attributes:
        message: What is wrong, and the way out.
        severity: An error keeps the project, or a part of it, from running; a warning does not.
        file: The file, relative to the project's root; None if the problem is none of a file's.
        line: The line, from 1.
        column: The column, from 1.
        reason: The kind of the mistake, as the reason of a run's condition has it; None for a warning.
        parameter: The parameter whose value is wrong; None if the problem is no value's.
    """

    message: str
    severity: Literal["error", "warning"] = "error"
    file: str | None = None
    line: int | None = None
    column: int | None = None
    reason: str | None = None
    parameter: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    @property
    def place(self) -> str:
        """File, line and column as compilers write them; empty where there is none."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    @classmethod
    def of(cls, error: MlpError, *, parameter: str | None = None) -> Problem:
        """What an error says, as a problem."""
        if isinstance(error, ProjectInvalid):
            return cls(error.explanation, "error", error.file, error.line, error.column, error.reason)
        return cls(str(error), reason=error.reason, parameter=parameter)


class Findings:
    """What one reading of a project has found so far, in that order."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.errors: list[ProjectInvalid] = []

    def apart(self) -> AbstractContextManager[None, bool]:
        """Read something whose mistakes concern nothing else: they are noted, and the reading goes on behind it."""
        return _Apart(self)

    def add(self, error: ProjectInvalid) -> None:
        """Note a mistake."""
        self.errors.append(error)
        self.problems.append(Problem.of(error))

    def warn(
        self, message: str, *, file: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        """Note something that does no harm and is probably not meant."""
        self.problems.append(Problem(message, "warning", file, line, column))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd and harmless."""
        return tuple(str(problem) for problem in self.problems if problem.severity == "warning")


class _Apart:
    """A context that a mistake ends, and nothing else."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, ProjectInvalid):
            return False
        self._findings.add(error)
        return True
