"""In which environment a run's command runs: main's image as it is, or an environment that is built for it. Pure.

What the project declares decides, and spec.environment.manager; the names mean what they mean to `mlp run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mlp.environment.managers import built_as
from mlp.errors import ExecutionException, UsageError
from mlp.resources.plan import PlannedEnvironment

if TYPE_CHECKING:
    from mlp.project import Environment
    from mlp.resources import ProjectRun

__all__ = ["Surroundings", "choose", "given_variables"]

_MANAGERS: Final[dict[str, Literal["conda", "virtualenv"]]] = {"Conda": "conda", "Virtualenv": "virtualenv"}
_OVERRIDE: Final = "CONDA_OVERRIDE_"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment of one run's command.

    Attributes:
        manager: What was chosen, in the words of spec.environment.manager.
        environment: What is to be built, if anything is.
        docker_image: docker_env.image of the project.
        variables: Environment variables that docker_env sets.
    """

    manager: str
    environment: PlannedEnvironment | None = None
    docker_image: str | None = None
    variables: tuple[tuple[str, str], ...] = ()


def choose(run: ProjectRun, wanted: Environment) -> Surroundings:
    """Decide on the environment.

    Args:
        run: What the user asks for.
        wanted: What the project declares.

    Raises:
        UsageError: The manager does not fit the project, or the project wants what no pod has.
    """
    asked = run.spec.environment.manager
    if asked == "Image" and run.spec.environment.image is None and wanted.image is None:
        raise UsageError(
            "spec.environment.manager Image needs an image: give spec.environment.image in a new ProjectRun, or "
            "docker_env.image in the project."
        )
    if wanted.kind == "docker":
        return Surroundings(
            "Local" if asked == "Local" else "Image",
            docker_image=wanted.image,
            variables=_docker_variables(run, wanted),
        )
    if asked in ("Local", "Image"):
        return Surroundings(asked)
    if wanted.kind == "none":
        # There is nothing to be built, whatever is asked for.
        return Surroundings("Local")
    return _built(run, wanted.kind, wanted.file or "")


def _built(run: ProjectRun, kind: Literal["conda", "python"], file: str) -> Surroundings:
    asked, cache = run.spec.environment.manager, run.spec.environment.cache
    manager = _MANAGERS.get(asked)
    try:
        built = built_as(kind, manager)
    except ExecutionException:
        raise UsageError(
            f"spec.environment.manager {asked} cannot build the project's environment: {file} is a {kind}_env. Create "
            "a new ProjectRun with the manager Auto or Virtualenv, or Local and an image that has the dependencies."
        ) from None
    return Surroundings(
        "Conda" if built == "conda" else "Virtualenv",
        environment=PlannedEnvironment(
            kind=kind,
            file=file,
            manager=manager,
            policy="Use" if cache is None else cache.policy,
            overrides={
                name: value
                for name, value in given_variables(run).items()
                if value is not None and name.startswith(_OVERRIDE)
            },
        ),
    )


def given_variables(run: ProjectRun) -> dict[str, str | None]:
    """The variables of main that the run sets, with their values as far as they are known."""
    fields = run.spec.backend.kubernetes
    return {each.name: each.value for each in (fields.env or () if fields is not None else ())}


def _docker_variables(run: ProjectRun, wanted: Environment) -> tuple[tuple[str, str], ...]:
    if wanted.volumes:
        raise UsageError(
            f"docker_env.volumes of the project ({', '.join(wanted.volumes)}) name directories of a host, which a pod "
            "does not get. Take them out of the MLproject file and mount what the run needs with "
            "spec.backend.kubernetes.volumes."
        )
    provided = given_variables(run)
    copied = [each for each in wanted.variables if isinstance(each, str)]
    missing = [name for name in copied if name not in provided]
    fields = run.spec.backend.kubernetes
    # What a Secret or ConfigMap holds as a whole is kubelet's to read.
    if missing and not (fields is not None and fields.env_from):
        raise UsageError(
            f"This project expects the environment variables {copied} to be set on the machine running the project, "
            f"and a pod has no such machine: give {', '.join(missing)} in spec.backend.kubernetes.env."
        )
    return tuple(each for each in wanted.variables if not isinstance(each, str) and each[0] not in provided)
