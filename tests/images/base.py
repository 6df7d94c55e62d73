"""The tests' base image: the packages that python:3.12-slim and the Dockerfiles would bring, without a registry."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from typing import TYPE_CHECKING, Final

from tests.cluster.layout import cache_directory

if TYPE_CHECKING:
    from pathlib import Path

SUITE: Final = "bookworm"
PACKAGES: Final = (
    *("bash", "ca-certificates", "catatonit", "git", "git-lfs", "openssh-client"),
    *("python3", "python3-pip", "python-is-python3"),
)
OPTIONS: Final = (
    "--variant=minbase",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
    # perl's library: a fifth of the whole, and only some of git's own scripts would use it. Packages that are being set
    # up do, so it goes at the end.
    "--customize-hook=rm -r $1/usr/share/perl $1/usr/lib/*/perl",
)


def key() -> str:
    """Names the base by what goes into it."""
    recipe = json.dumps([SUITE, PACKAGES, OPTIONS])
    return hashlib.sha256(recipe.encode()).hexdigest()[:20]


def archive() -> Path:
    """The base's root file system as a tar file, made on first use."""
    done = cache_directory() / "images" / f"base-{key()}.tar"
    if done.exists():
        return done
    unfinished = done.with_name(f".base-{os.getpid()}.tar")
    try:
        command = ["mmdebstrap", *OPTIONS, f"--include={','.join(PACKAGES)}", SUITE, str(unfinished)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"mmdebstrap failed:\n{made.stderr[-3000:]}")
        unfinished.replace(done)
    finally:
        unfinished.unlink(missing_ok=True)
    return done
