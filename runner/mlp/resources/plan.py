"""What a run's pod has to do, as the operator writes it and the pod's steps read it.

The plan travels as JSON in an annotation of the Job and of its pod template, and reaches the steps as a file through
the downward API. It holds everything that was decided when the run was resolved, so a restarted operator takes up a
Job that it finds without asking Git again, and it holds no secret: credentials are mounted, never planned.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Literal

from mlp.resources import names, written

__all__ = [
    "Plan",
    "PlannedBundle",
    "PlannedDownload",
    "PlannedEnvironment",
    "PlannedParameter",
    "PlannedProject",
    "PlannedSource",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBundle:
    """A packed project: a tar archive, compressed by gzip."""

    uri: str | None = None
    """Where it lies; None: in a ConfigMap, mounted at names.BUNDLE_DIRECTORY."""
    sha256: str
    """64 hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSource:
    """Where the project comes from, pinned: a commit of a repository, or a bundle."""

    uri: str | None = None
    """The repository."""
    commit: str | None = None
    """40 hexadecimal digits."""
    bundle: PlannedBundle | None = None
    """The packed project, instead of a repository."""
    ref: str | None = None
    """The full name of the ref that the version named, for servers that refuse to serve a bare commit."""
    version: str | None = None
    """What the user wrote: a branch, tag or commit."""
    subdirectory: str = ""
    submodules: bool = True
    lfs: bool = False
    protocols: tuple[str, ...] = ("https", "ssh")
    """The transports that Git may use, as the operator's settings allow them."""
    other_hosts: bool = False
    """Whether submodules may come from other hosts than the project, as the operator's settings say."""
    credentials: bool = False
    """Whether a credentials Secret is mounted at names.GIT_CREDENTIALS_DIRECTORY."""

    @property
    def directory(self) -> str:
        """The project's directory in the pod, where its command runs."""
        return posixpath.normpath(posixpath.join(names.PROJECT_DIRECTORY, self.subdirectory))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedParameter:
    """One parameter as it was resolved."""

    name: str
    type: str
    value: str | None = None
    """What the command gets; None for a value from a Secret, which stands in a variable of main."""
    source: Literal["Spec", "Default", "Extra"]
    given: str | None = None
    """What the user wrote, where that is something else: a URI whose download the command gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDownload:
    """Something to be brought before the command starts."""

    parameter: str
    uri: str
    path: str
    """Where it has to lie then: what the command gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEnvironment:
    """An environment to be built, or found in the cache."""

    kind: Literal["conda", "python"]
    """What the file is: a conda.yaml, or a python_env.yaml or requirements file."""
    file: str
    """Its path, relative to the project's directory."""
    manager: Literal["conda", "virtualenv"] | None = None
    """The manager that was asked for by name; None: the one that fits the kind."""
    policy: Literal["Use", "Refresh", "Disabled"] = "Use"
    """As spec.environment.cache.policy."""
    overrides: dict[str, str] = field(default_factory=dict)
    """CONDA_OVERRIDE_* variables of main: the machine that the environment is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProject:
    """What will be executed."""

    name: str
    entry_point: str
    command: str
    """Given to ``bash -c`` in the project's directory."""
    parameters: tuple[PlannedParameter, ...] = ()
    manager: str = "Local"
    """The environment manager that was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole plan of one run's pod."""

    source: PlannedSource
    project: PlannedProject
    downloads: tuple[PlannedDownload, ...] = ()
    environment: PlannedEnvironment | None = None
    tracking_uri: str | None = None
    """The tracking server, for downloads from it."""

    @property
    def steps(self) -> tuple[Literal["clone", "data", "environment"], ...]:
        """The steps that the pod needs before main."""
        data: tuple[Literal["data"], ...] = ("data",) if self.downloads else ()
        environment: tuple[Literal["environment"], ...] = ("environment",) if self.environment else ()
        return ("clone", *data, *environment)

    @property
    def directory(self) -> str:
        """The project's directory in the pod, where its command runs."""
        return self.source.directory

    def to_json(self) -> str:
        """The plan as compact JSON with camelCase keys."""
        return written.write(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Read a plan. A newer operator's may say more than this version knows; that is passed over.

        Raises:
            ValueError: The text is not a plan.
        """
        return written.read(cls, text)
