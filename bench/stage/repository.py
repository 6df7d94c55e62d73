"""The Git repository of the runs: one commit, one project whose command is `true`, reached as file://.

A server of ours on the same two cores would be measured along with the operator, so there is none: the operator's `git`
program talks to the repository directly.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MLPROJECT", "Repository"]

MLPROJECT = """\
name: nothing
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 0.5}
    command: "true {alpha}"
"""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository.

    Attributes:
        uri: As a ProjectRun names it.
        branch: Its only branch.
        commit: The commit at its tip.
    """

    uri: str
    branch: str
    commit: str

    @classmethod
    def create(cls, directory: Path) -> Repository:
        """Make it in a directory that is not there yet."""
        directory.mkdir(parents=True)
        (directory / "MLproject").write_text(MLPROJECT)
        who = {"NAME": "Bench", "EMAIL": "bench@example.com"}
        identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
        environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

        def git(*arguments: str) -> str:
            command = ["git", "-C", str(directory), *arguments]
            return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

        git("init", "--quiet", "--initial-branch=main")
        git("config", "uploadpack.allowFilter", "true")
        git("add", "MLproject")
        git("commit", "--quiet", "--message=A project that does nothing")
        return cls(directory.as_uri(), "main", git("rev-parse", "HEAD"))
