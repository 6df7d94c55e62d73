"""What a run on Databricks is made from. Values only: nothing here is sent, and none of it is secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["NOTHING", "ArchivedProject", "Assignment", "Compute", "GitProject", "RemoteTask", "token_of"]

NOTHING: Final = "/Workspace/Shared/.mlp/nothing.py"
"""A file that is not there: a task that is this file ends at once. It only takes a token, so that no other run can."""

_LONGEST_TOKEN: Final = 64
"""Characters that the Jobs API takes as an idempotency token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What a run gets to run on: exactly one of a new cluster, an existing one and serverless compute.

    Attributes:
        new_cluster: A cluster made for the run, as the Jobs API has it.
        existing_cluster_id: The id of a cluster that exists.
        serverless: Whether serverless compute.
        environment_version: The version of the serverless environment; None for the newest that mlp knows.
        libraries: To be installed, as the Jobs API has them.
    """

    new_cluster: Mapping[str, Any] | None = None
    existing_cluster_id: str | None = None
    serverless: bool = False
    environment_version: str | None = None
    libraries: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedProject:
    """A project that is uploaded.

    Attributes:
        key: 64 hexadecimal digits that stand for the content: what has the same key is uploaded once.
        subdirectory: The project's directory in the archive, "" for its root.
    """

    key: str
    subdirectory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitProject:
    """A project that the workspace fetches itself.

    Attributes:
        uri: The repository, without credentials.
        provider: Who serves it, in the Jobs API's words (gitHub, gitLab, …).
        commit: 40 hexadecimal digits.
        subdirectory: The project's directory in it, "" for its root.
        private: Whether the repository wants credentials: the running identity must have some in the workspace then.
        python_file: What is run of it, from the repository's root: there is nobody there who could resolve a project.
        arguments: What the file gets, one text each.
    """

    uri: str
    provider: str
    commit: str
    subdirectory: str = ""
    private: bool = False
    python_file: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What is to be done with the project once it has arrived. It travels as JSON.

    Attributes:
        directory: Where it happens on the driver: an absolute path that no other run has.
        subdirectory: The project's directory in the archive.
        entry_point: The entry point, or a script's path.
        parameters: Values by name, exactly as given.
        manager: ``local`` for the cluster's own Python, ``conda`` or ``virtualenv``; None for what the project
            declares.
        validate: Whether values have to fit their declared types.
        tracking_uri: The tracking server as the cluster reaches it; None for a run that is recorded nowhere.
        run_id: The run in MLflow; None for none.
        known_as: What the run is known by where it has none.
        experiment_id: The experiment of the run in MLflow.
        variables: Further variables of the command.
    """

    directory: str
    subdirectory: str = ""
    entry_point: str = "main"
    parameters: Mapping[str, str] = field(default_factory=dict)
    manager: str | None = None
    validate: bool = True
    tracking_uri: str | None = None
    run_id: str | None = None
    known_as: str | None = None
    experiment_id: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTask:
    """One run on Databricks, before it is submitted.

    Attributes:
        name: The run's name in the workspace.
        token: The idempotency token (`token_of`): what has the same token is one run.
        compute: What it gets to run on.
        project: How the project gets there.
        assignment: What is done with it.
        upload_to: The directory for what is uploaded: /Volumes/…, /Workspace/… or dbfs:/…; None for ``.mlp`` in the
            home of whoever submits.
        timeout_seconds: The run's own limit; None for none.
        run_as: ``{"user_name": …}`` or ``{"service_principal_name": …}``; None for whoever submits.
        tags: custom_tags of a new cluster.
    """

    name: str
    token: str
    compute: Compute
    project: ArchivedProject | GitProject
    assignment: Assignment
    upload_to: str | None = None
    timeout_seconds: int | None = None
    run_as: Mapping[str, str] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def token_of(uid: str, attempt: int) -> str:
    """The idempotency token of one submission of a run.

    The attempt is part of it: the Jobs API answers a token that it knows with the run that it belongs to, also when
    that has ended, so a second attempt with the token of the first would be the first one again.

    Args:
        uid: What the run is known by for good: a ProjectRun's uid, or any other unique text.
        attempt: The number of the submission, from 1.

    Raises:
        ValueError: The two are longer than the 64 characters that the Jobs API takes.
    """
    token = f"{uid}-{attempt}"
    if len(token) > _LONGEST_TOKEN:
        raise ValueError(f"an idempotency token has at most {_LONGEST_TOKEN} characters: {token}")
    return token
