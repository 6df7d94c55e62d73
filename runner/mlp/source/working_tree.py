"""The Git repository around a directory of the user's own, looked at and never touched.

MLflow checks another version of a local project out in the user's own working tree. Ours is fetched from that
repository into a directory apart, as from any other; this module only finds the repository. GitPython does the looking
and is imported where it is needed, because the import alone takes a tenth of a second.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mlp.errors import SourceInvalid, UsageError
from mlp.source.location import Location

__all__ = ["repository_of"]


def repository_of(location: Location) -> Location:
    """The repository that holds a local directory, for a run of another version than the one that lies there.

    Args:
        location: What `locate` found; one that Git has to bring anyway is given back as it is.

    Raises:
        SourceInvalid: The directory is in no Git repository, or it is an archive.
        UsageError: There is no program ``git``.
    """
    if location.kind == "git":
        return location
    if location.kind == "archive":
        raise SourceInvalid(
            f"Setting a version is only supported for Git project URIs: {location.uri} is a zip archive."
        )
    top = _top_level(location.directory)
    if top is None:
        raise SourceInvalid(
            f"Setting a version is only supported for Git project URIs: {location.directory} is in no Git repository."
        )
    inside = location.directory.resolve().relative_to(top).as_posix()
    return Location(top.as_uri(), "" if inside == "." else inside, "git")


def _top_level(directory: Path) -> Path | None:
    # GitPython looks for the program when it is imported, and fails with an ImportError that explains itself only.
    if shutil.which("git") is None:
        raise UsageError("There is no program 'git' on PATH. Install Git 2.31 or newer.")
    import git  # noqa: PLC0415 -- only runs of a local project's other version need it

    try:
        with git.Repo(directory, search_parent_directories=True) as repository:
            top = repository.working_tree_dir
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return None
    return None if top is None else Path(top).resolve()
