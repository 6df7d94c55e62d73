"""What a project has to be for a run on Databricks: told in the same words by all who are asked before it runs there.

Whoever sends the run asks (a laptop, the operator, those who only check a manifest), and the driver once more. Pure.
"""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from mlp.errors import EntryPointNotFound
from mlp.project.suggestion import shortened

if TYPE_CHECKING:
    from mlp.project import ProjectFiles

__all__ = ["NO_CONTAINERS", "check_file"]

NO_CONTAINERS: Final = (
    "Running docker-based projects on Databricks is not yet supported. To run it without its image, in the cluster's "
    "own Python, give --env-manager local (of a ProjectRun: spec.environment.manager Local)."
)
"""MLflow's words, which scripts look for, and the way out."""


def check_file(files: ProjectFiles, file: str) -> None:
    """Refuse a call of a Python file that the project does not have: no cluster has to start to find that out.

    What lies below a link is not among the files of a commit that nobody has checked out: nothing is said of it.

    Args:
        files: The project's files.
        file: The file, from the project's root.

    Raises:
        EntryPointNotFound: There is no such file.
    """
    path = posixpath.normpath(file)
    linked = any(files.has(str(parent)) for parent in PurePosixPath(path).parents)
    if not files.has(path) and not linked:
        raise EntryPointNotFound(
            f"The run would execute the Python file {shortened(file)}, and the project has no such file. The path is "
            "relative to the project's directory."
        )
