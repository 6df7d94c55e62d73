"""Where things lie in a run's pod, in one value, so that a test can put the whole pod under a directory of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlp.resources import names

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths that the steps read and write. By default those of a pod.

    Attributes:
        plan: The pod's plan, a file of the downward API.
        credentials: Where the credentials Secret is mounted, if the plan says that one is.
        project: Where the project goes.
        home: The command's HOME.
        init_program: Where the init program goes that runs as process 1 of container main.
        termination_log: Where the kubelet looks for a container's last words.
    """

    plan: Path = Path(names.PLAN_FILE)
    credentials: Path = Path(names.GIT_CREDENTIALS_DIRECTORY)
    project: Path = Path(names.PROJECT_DIRECTORY)
    home: Path = Path(names.HOME_DIRECTORY)
    init_program: Path = Path(names.INIT_PROGRAM)
    termination_log: Path = Path(names.TERMINATION_LOG)

    @classmethod
    def under(cls, root: Path) -> Layout:
        """The same layout below another root than ``/``."""

        def below(path: str) -> Path:
            return root / path.lstrip("/")

        return cls(
            plan=below(names.PLAN_FILE),
            credentials=below(names.GIT_CREDENTIALS_DIRECTORY),
            project=below(names.PROJECT_DIRECTORY),
            home=below(names.HOME_DIRECTORY),
            init_program=below(names.INIT_PROGRAM),
            termination_log=below(names.TERMINATION_LOG),
        )
