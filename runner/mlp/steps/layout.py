"""Where things lie in a run's pod, in one value, so that a test can put the whole pod under a directory of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlp.resources import names

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths that the steps read and write. By default those of a pod.

    Attributes:
        root: What stands for ``/``.
    """

    root: Path = Path("/")

    @classmethod
    def under(cls, root: Path) -> Layout:
        """The same layout below another root than ``/``."""
        return cls(root)

    def inside(self, path: str) -> Path:
        """Where a path of the pod is."""
        return self.root / path.lstrip("/")

    @property
    def plan(self) -> Path:
        """The pod's plan, a file of the downward API."""
        return self.inside(names.PLAN_FILE)

    @property
    def credentials(self) -> Path:
        """Where the Secret with credentials for Git is mounted, if the plan says that one is."""
        return self.inside(names.GIT_CREDENTIALS_DIRECTORY)

    @property
    def data_credentials(self) -> Path:
        """Where the Secret for downloads is mounted, if there is one."""
        return self.inside(names.DATA_CREDENTIALS_DIRECTORY)

    @property
    def tracking_credentials(self) -> Path:
        """Where the Secret for downloads from the tracking server is mounted, if there is one."""
        return self.inside(names.TRACKING_CREDENTIALS_DIRECTORY)

    @property
    def environment_credentials(self) -> Path:
        """Where the Secret for channels and indexes is mounted, if there is one."""
        return self.inside(names.ENVIRONMENT_CREDENTIALS_DIRECTORY)

    @property
    def aws_token(self) -> Path:
        """The service account's token for AWS."""
        return self.inside(names.AWS_TOKEN_FILE)

    @property
    def bundle(self) -> Path:
        """The packed project, if it came in a ConfigMap."""
        return self.inside(names.BUNDLE_DIRECTORY) / names.BUNDLE_KEY

    @property
    def project(self) -> Path:
        """Where the project goes."""
        return self.inside(names.PROJECT_DIRECTORY)

    @property
    def data(self) -> Path:
        """Where downloads go."""
        return self.inside(names.DATA_DIRECTORY)

    @property
    def environments(self) -> Path:
        """The cache of environments."""
        return self.inside(names.ENVIRONMENTS_DIRECTORY)

    @property
    def activate(self) -> Path:
        """What main sources before its command, where it has an environment."""
        return self.inside(names.ACTIVATE_FILE)

    @property
    def home(self) -> Path:
        """The command's HOME."""
        return self.inside(names.HOME_DIRECTORY)

    @property
    def init_program(self) -> Path:
        """Where the init program goes that runs as process 1 of container main."""
        return self.inside(names.INIT_PROGRAM)

    @property
    def termination_log(self) -> Path:
        """Where the kubelet looks for a container's last words."""
        return self.inside(names.TERMINATION_LOG)
