"""Lock files for a project: exactly what its environment consists of, to be committed or kept with a result.

They come from the environment itself, which is built if it is not there. What pip's part consists of is written with
hashes too, which takes an index that answers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from mlp.environment.extras import find_uv
from mlp.environment.indexes import index_options
from mlp.errors import EnvironmentUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from mlp.environment.cache import BuiltEnvironment, EnvironmentCache
    from mlp.environment.specification import Specification

__all__ = ["write_lock_files"]

_COPIED: Final = ("env.lock.yaml", "explicit.txt", "pip-freeze.txt")
_ONLY_HASHES: Final = ("--generate-hashes", "--no-deps", "--no-header", "--no-annotate", "--quiet")
_HASHED: Final = "requirements.lock"


def write_lock_files(
    cache: EnvironmentCache, specification: Specification, environment: BuiltEnvironment, into: Path
) -> list[Path]:
    """Write the lock files of a built environment.

    Args:
        cache: Where it was built.
        specification: What it was built from.
        environment: The environment.
        into: The directory for the files; made if it is not there.

    Returns:
        What was written: env.lock.yaml and explicit.txt for conda packages, pip-freeze.txt and requirements.lock (with
        hashes) for pip's.

    Raises:
        EnvironmentUnavailable: The index cannot tell the hashes.
    """
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for name in _COPIED:
        source = environment.locked / name
        if source.is_file():
            written.append(into / name)
            shutil.copyfile(source, written[-1])
    frozen = environment.locked / "pip-freeze.txt"
    # What was installed from a directory or a repository has no hash that an index could tell.
    released = [line for line in frozen.read_text().splitlines() if "==" in line] if frozen.is_file() else []
    if released:
        written.append(into / _HASHED)
        written[-1].write_text(_with_hashes(cache, specification, environment, released), encoding="utf-8")
    return written


def _with_hashes(
    cache: EnvironmentCache, specification: Specification, environment: BuiltEnvironment, lines: list[str]
) -> str:
    done = subprocess.run(
        [
            *(find_uv(), "pip", "compile", "-", *_ONLY_HASHES, *index_options(specification.index_variables)),
            *("--python", str(environment.path / "bin" / "python")),
        ],
        input="".join(f"{line}\n" for line in lines),
        cwd=cache.root,
        env={
            **os.environ,
            "UV_CACHE_DIR": str(cache.layout.caches / "uv"),
            "UV_NO_CONFIG": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "NO_COLOR": "1",
            **specification.index_variables,
        },
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise EnvironmentUnavailable(
            f"The index does not tell the hashes of what {specification.file} needs.\n"
            f"{specification.secrets.mask(done.stderr).strip()}"
        )
    return done.stdout
