"""In which environment a command runs on this machine: the current one, one that is built for it, or a container.

What the project declares decides, and the environment manager that the user names. What can be wrong is found before
the run is recorded; what takes long is left for afterwards.
"""

from __future__ import annotations

import logging
import os
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError
from mlp.tracking.names import ENV_EXPERIMENT_ID, ENV_EXPERIMENT_NAME

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlp.backends.local.container import Engine
    from mlp.environment import BuiltEnvironment, Specification
    from mlp.project import Environment

__all__ = ["MANAGER", "Command", "Surroundings", "choose", "chosen_manager"]

MANAGER: Final = "MLP_ENV_MANAGER"
"""The variable that names the environment manager where the call does not. Runs that a project starts inherit it."""

_MANAGERS: Final = ("local", "conda", "virtualenv", "uv")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed.

    Attributes:
        arguments: The program and its arguments.
        directory: The working directory.
        variables: The environment variables, all of them.
        end: Ends what the command has started outside its process group.
    """

    arguments: tuple[str, ...]
    directory: Path
    variables: Mapping[str, str]
    end: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment of one command.

    Attributes:
        manager: What was asked for explicitly; None for what the project declares.
        tags: What the run's record says of it.
        variables: Those that the project sets.
        specification: The environment to build, if any.
        engine: The container engine, if the command runs in a container.
        container: What the project says of the container.
    """

    manager: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    specification: Specification | None = None
    engine: Engine | None = None
    container: Environment | None = None

    def provide(self, stop: threading.Event) -> BuiltEnvironment | None:
        """Build the environment, or find it built.

        Args:
            stop: Set when it is not wanted any more.

        Returns:
            None for the current environment and for containers.

        Raises:
            PreparationError: It cannot be built.
            RunCancelled: The event was set.
        """
        if self.specification is None:
            return None
        from mlp.backends.local.progress import Progress  # noqa: PLC0415
        from mlp.environment import EnvironmentCache  # noqa: PLC0415

        cache = EnvironmentCache.default()
        if cache.find(self.specification) is None:
            _log.info("=== Creating %s for %s ===", self.specification.name, self.specification.file)
        progress = Progress("Environment")
        built = cache.ensure(self.specification, cancelled=stop, progress=progress.step)
        _log.info("Environment %s %s", built.path, "was built" if built.built else "already exists")
        return built

    def command(
        self,
        text: str,
        *,
        directory: Path,
        run_id: str,
        record: Mapping[str, str],
        artifact_uri: str | None,
        activate: Path | None,
        docker_args: Mapping[str, str | bool],
        paths: tuple[Path, ...],
    ) -> Command:
        """What is executed for an entry point's command.

        Args:
            text: The command, for bash.
            directory: The project's directory.
            run_id: The run's ID.
            record: The variables that lead to the run's record.
            artifact_uri: Where the run's artifacts go.
            activate: The script that activates the environment that `provide` gave.
            docker_args: Further options for the container engine.
            paths: Files and directories of parameters, which a container has to see.
        """
        own = dict(record)
        if self.manager is not None:
            own[MANAGER] = self.manager
        if self.engine is not None and self.container is not None:
            from mlp.backends.local.container import container_arguments, end_container  # noqa: PLC0415

            engine = self.engine
            contained = container_arguments(
                engine,
                environment=self.container,
                directory=directory,
                name=f"mlp-{run_id}",
                command=text,
                variables=own,
                docker_args=docker_args,
                paths=paths,
                artifact_uri=artifact_uri,
            )
            return Command(
                contained.arguments,
                directory,
                {**os.environ, **contained.variables},
                end=lambda: end_container(engine, contained.name),
            )
        if activate is not None:
            # On a line of its own: the command may begin with a comment. 126: found, and not executable.
            text = f". {shlex.quote(str(activate))} || exit 126\n{text}"
        ambient = dict(os.environ)
        if ENV_EXPERIMENT_ID in own:
            # MLflow in the project's code refuses two that differ, and the ID is the one that is meant.
            ambient.pop(ENV_EXPERIMENT_NAME, None)
        return Command(("bash", "-c", text), directory, {**ambient, **self.variables, **own})


def chosen_manager(manager: str | None) -> str | None:
    """The environment manager that is named: by the call, else by the variable `MANAGER`; None for neither."""
    return manager or os.environ.get(MANAGER) or None


def choose(environment: Environment, manager: str | None, directory: Path) -> Surroundings:
    """Decide on the environment.

    Args:
        environment: What the project declares.
        manager: What the user names; None for what the variable `MANAGER` says, else for what the project declares.
        directory: The project's directory.

    Raises:
        UsageError: There is no such manager, it does not fit the project, or a variable is not set.
        EnvironmentInvalid: The environment file cannot be understood.
        EngineUnavailable: There is nothing to run containers with.
    """
    manager = chosen_manager(manager)
    if manager is not None and manager not in _MANAGERS:
        raise UsageError(f"Invalid value for `env_manager`: {manager}. Must be one of {list(_MANAGERS)}")
    match environment.kind:
        case "none":
            if manager != "local":
                _log.info(
                    "The project declares no environment: running in the current one, as with --env-manager local."
                )
            return Surroundings(manager)
        case "docker" if manager == "local":
            _log.info("docker_env is not used with --env-manager local, apart from its variables.")
            return Surroundings(manager, variables=_variables(environment))
        case "docker":
            return _container(environment, manager)
        case _ if manager == "local":
            return Surroundings(manager)
        case kind:
            return _built(kind, directory, directory / (environment.file or ""), manager)


def _built(kind: str, directory: Path, file: Path, manager: str | None) -> Surroundings:
    from mlp.environment import read  # noqa: PLC0415
    from mlp.tracking import names  # noqa: PLC0415

    specification = read("conda" if kind == "conda" else "python", file, manager=manager, project=directory)
    used = manager or ("conda" if kind == "conda" else "virtualenv")
    return Surroundings(manager, tags={names.PROJECT_ENV: used}, specification=specification)


def _container(environment: Environment, manager: str | None) -> Surroundings:
    from mlp.backends.local.container import find_engine  # noqa: PLC0415
    from mlp.tracking import names  # noqa: PLC0415

    _variables(environment)  # one that is missing is told before an engine is looked for
    return Surroundings(
        manager,
        tags={names.PROJECT_ENV: "docker", names.DOCKER_IMAGE_URI: environment.image or ""},
        engine=find_engine(os.environ),
        container=environment,
    )


def _variables(environment: Environment) -> dict[str, str]:
    """What docker_env.environment sets and copies."""
    from mlp.backends.local.container import copied_variables  # noqa: PLC0415

    pairs = dict(entry for entry in environment.variables if not isinstance(entry, str))
    return {**copied_variables(environment, os.environ), **pairs}
