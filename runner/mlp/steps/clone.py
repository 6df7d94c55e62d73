"""The step ``clone``: bring the project at its pinned commit, and prepare what its command needs around it.

It comes from a repository, or was packed and is unpacked. Whatever an earlier attempt of the same pod left is removed
first. Git runs with nothing ambient and, where the plan says so, with the mounted credentials.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import MlpError, UsageError

if TYPE_CHECKING:
    import threading

    from mlp.resources.plan import Plan, PlannedSource
    from mlp.steps.layout import Layout

__all__ = ["clone"]

_TIMEOUT: Final = 900.0
"""Seconds for the whole of Git's work. A server that hangs is given up much sooner (mlp.source.access)."""

_INIT_PROGRAM: Final = "/usr/bin/catatonit"


def clone(plan: Plan, layout: Layout, stop: threading.Event) -> str:
    """Carry the step out.

    Args:
        plan: What to bring.
        layout: Where to.
        stop: Set when it is not wanted any more. Git is ended by an exception, as a signal's.

    Returns:
        What was done, for people.

    Raises:
        SourceError: The project cannot be brought.
        MlpError: The image lacks the init program.
    """
    # A project's code may have left settings there, for programs that are given credentials now.
    _empty(layout.home)
    _install_init_program(layout.init_program)
    _empty(layout.project)
    if plan.source.bundle is None:
        return _fetch(plan.source, layout)
    from mlp.steps.bundle import unpack_bundle  # noqa: PLC0415 -- most projects come from Git

    try:
        return unpack_bundle(plan.source.bundle, plan, layout, stop)
    except BaseException:
        _empty(layout.project)
        raise


def _fetch(source: PlannedSource, layout: Layout) -> str:
    from mlp.source import Access, Git, redact  # noqa: PLC0415 -- a bundle needs none of it

    if source.uri is None or source.commit is None:
        raise UsageError("The plan names neither a repository nor a bundle.")
    access = Access.scrubbed(
        credentials=layout.credentials if source.credentials else None,
        protocols=source.protocols,
        allow_other_hosts=source.other_hosts,
    )
    Git(access, timeout=_TIMEOUT).fetch(
        source.uri,
        source.commit,
        layout.project,
        ref=source.ref,
        subdirectory=source.subdirectory,
        submodules=source.submodules,
        lfs=source.lfs,
    )
    inside = f", subdirectory {source.subdirectory}" if source.subdirectory else ""
    return f"Fetched commit {source.commit} of {redact(source.uri)}{inside}"


def _install_init_program(target: Path) -> None:
    """Copy the init program to where main finds it: a static one runs in whatever image the user chose."""
    found = _INIT_PROGRAM if Path(_INIT_PROGRAM).is_file() else shutil.which("catatonit")
    if found is None:
        raise MlpError(
            f"The image that prepares runs has no init program: neither {_INIT_PROGRAM} nor catatonit on PATH. "
            "Build it from mlp's own Dockerfile."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # By rename: an earlier attempt's copy is never seen half-written.
    partial = target.with_name(f"{target.name}.partial")
    shutil.copyfile(found, partial)
    partial.chmod(0o755)
    partial.replace(target)


def _empty(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
