"""What is asked for when a project is to run on this machine, whether by arguments or by a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run that is asked for.

    Attributes:
        uri: A Git URL, ``user@host:path``, a directory or a zip archive; ``#subdirectory`` may follow.
        subdirectory: The project's directory inside, for those who have it apart.
        version: A branch, tag or commit; None for what lies there now.
        entry_point: A name from the MLproject file, or a script's path.
        parameters: Values by name.
        secrets: The names of parameters whose values must not be recorded or shown.
        env_manager: ``local`` for the environment that mlp itself runs in, ``conda``, ``virtualenv`` or ``uv``; None
            for what the project declares.
        docker_args: Options for the container engine by name; True for one without a value.
        storage_dir: Where data for ``path`` parameters is downloaded to, and stays; None for a temporary directory.
        experiment_name: The experiment to record the run in, made if it does not exist.
        experiment_id: The same by its ID; at most one of the two.
        run_id: A run that exists in the tracking store, to be continued.
        run_name: The run's name in the tracking store; None leaves it to the store.
        tags: Further tags of the run in the tracking store.
        tracking_uri: The tracking store; None for the one that the environment names.
        username: The user for Git over https; None for MLFLOW_GIT_USERNAME.
        password: Their password or token; None for MLFLOW_GIT_PASSWORD.
        validate: Whether values have to fit their declared types.
        submodules: Whether the repository's submodules are fetched too.
    """

    uri: str
    subdirectory: str = ""
    version: str | None = None
    entry_point: str = "main"
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    env_manager: str | None = None
    docker_args: Mapping[str, str | bool] = field(default_factory=dict)
    storage_dir: Path | None = None
    experiment_name: str | None = None
    experiment_id: str | None = None
    run_id: str | None = None
    run_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    tracking_uri: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    validate: bool = True
    submodules: bool = True
