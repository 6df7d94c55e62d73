"""Git repositories with a known history, made afresh for each test that needs one."""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AUTHOR = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


@dataclass(frozen=True)
class Repository:
    """A repository with a work tree, which can be served as it is."""

    path: Path

    @property
    def uri(self) -> str:
        return self.path.as_uri()

    def git(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=os.environ | AUTHOR,
            check=True,
            capture_output=True,
            text=True,
            input=stdin,
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str | bytes], message: str = "change") -> str:
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def add_submodule(self, uri: str, path: str) -> str:
        self.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", uri, path)
        return self.commit({}, f"add {path}")


def create(path: Path) -> Repository:
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "--quiet", "--initial-branch", "main")
    repository.git("config", "uploadpack.allowFilter", "true")
    return repository


def noise(size: int, seed: int) -> bytes:
    """Bytes that do not compress, the same in every run."""
    return random.Random(seed).randbytes(size)


def files_below(directory: Path) -> set[str]:
    """Every file's path, Git's own apart."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file() or path.is_symlink())
    return {path.as_posix() for path in found if ".git" not in path.parts}


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
