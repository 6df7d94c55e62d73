"""The installed ``mlp``, called as a user calls it, and projects to call it with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

BIN = Path(sys.executable).parent
MLP = str(BIN / "mlp")
EXAMPLES = Path(__file__).parents[2] / "examples"


def environment(**variables: str) -> dict[str, str]:
    """The environment of a user who has activated ours, without what a developer's own settings would add."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "MLP_", "GIT_"))}
    return {
        **kept,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "MLP_TRACKING": "off",
        # A test that means to build environments says where.
        "MLP_ENV_ROOT": "/dev/null/envs",
        **variables,
    }


def mlp(*arguments: str | Path, cwd: Path | None = None, stdin: str | None = None, **variables: str):
    """Run mlp to its end."""
    return subprocess.run(
        [MLP, *map(str, arguments)],
        cwd=cwd,
        env=environment(**variables),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def project(directory: Path, command: str | None = None, *, parameters: dict | None = None, **keys) -> Path:
    """A project whose entry point main runs this command."""
    directory.mkdir(parents=True, exist_ok=True)
    if command is not None:
        main = {"command": command, **({"parameters": parameters} if parameters else {})}
        (directory / "MLproject").write_text(yaml.safe_dump({**keys, "entry_points": {"main": main}}))
    return directory


def git(directory: Path, *arguments: str) -> str:
    """Git with a name to commit under."""
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=directory, env=environment(), capture_output=True, text=True, check=True
    ).stdout.strip()


def commit(directory: Path, message: str = "a change") -> str:
    """Commit everything in a directory, which becomes a repository if it was none; the commit's ID."""
    if not (directory / ".git").exists():
        git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", message)
    return git(directory, "rev-parse", "HEAD")
