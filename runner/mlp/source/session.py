"""Calls of the `git` program that belong to one operation on one repository.

They share an environment, a private directory and one deadline. The program is run by ourselves and not through
GitPython: ``kill_after_timeout`` of ``git.Git.execute`` ends Git's direct children only, and a hanging ssh or
git-remote-https below them would survive (see mlp.source.program).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import MlpError, SourceUnavailable, UsageError
from mlp.source import program
from mlp.source.diagnosis import diagnose
from mlp.source.program import Deadline, Outcome
from mlp.source.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.source.access import Access, Surroundings

__all__ = ["Session", "open_session"]

_SHORTEST_SECRET: Final = 3


@dataclass(frozen=True, slots=True)
class Session:
    """One operation's way to call Git.

    Attributes:
        uri: The repository.
        access: How it may be reached.
        directory: A private directory that goes when the operation ends.
        surroundings: What the calls run with.
        deadline: When the operation has to have ended.
    """

    uri: str
    access: Access
    directory: Path
    surroundings: Surroundings
    deadline: Deadline

    def attempt(self, *arguments: str, within: Path | None = None, stdin: str = "") -> Outcome:
        """Call Git and tell how it ended, well or not.

        Raises:
            SourceUnavailable: The deadline passed.
            UsageError: There is no `git` program.
        """
        try:
            outcome = program.run(
                [*self._limit(), "git", *arguments],
                environment=self.surroundings.environment,
                deadline=self.deadline,
                directory=within or self.directory,
                stdin=os.fsencode(stdin),
                terminal=self.surroundings.terminal,
                check=self.access.check,
            )
        except program.TimedOut:
            raise SourceUnavailable(
                f"Git was not done with {redact(self.uri)} within {self.deadline.seconds:g} seconds and was ended. "
                "The server may be slow or hang, or the repository be large."
            ) from None
        except FileNotFoundError:
            raise UsageError("There is no program 'git' on PATH. Install Git 2.31 or newer.") from None
        return Outcome(outcome.status, outcome.stdout, self._clean(outcome.stderr))

    def run(self, *arguments: str, within: Path | None = None, stdin: str = "") -> bytes:
        """Call Git for its output.

        Raises:
            SourceError: Git failed; the class tells why.
        """
        outcome = self.attempt(*arguments, within=within, stdin=stdin)
        if outcome.status != 0:
            raise self.diagnose(outcome)
        return outcome.stdout

    def diagnose(self, outcome: Outcome) -> MlpError:
        """The error that a failed call means."""
        return diagnose(outcome.stderr, uri=self.uri, way_to_authenticate=self.access.way_to_authenticate(self.uri))

    def _limit(self) -> list[str]:
        largest = self.access.largest_file
        return [] if largest is None else ["prlimit", f"--fsize={largest}"]

    def _clean(self, text: str) -> str:
        for secret in self.surroundings.secrets:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text


@contextlib.contextmanager
def open_session(uri: str, access: Access, *, timeout: float) -> Iterator[Session]:
    """Begin an operation on a repository.

    Raises:
        SourceInvalid: Its transport is not allowed.
        AuthenticationFailed: The credentials do not fit it.
    """
    access.permit(uri)
    deadline = Deadline.after(timeout)
    with tempfile.TemporaryDirectory(prefix="mlp-git-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        yield Session(uri, access, directory, access.surroundings(uri, directory), deadline)
