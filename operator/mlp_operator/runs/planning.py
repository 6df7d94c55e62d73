"""From what a user asks and what the project says to a plan. Pure: a user's mistakes end here, before any pod.

Values of secrets come in to be checked and go nowhere: what is planned refers to them by a variable's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from mlp.errors import ParameterInvalid, ProjectInvalid
from mlp.project import Project
from mlp.resources import names
from mlp.resources.plan import Plan, PlannedParameter, PlannedProject
from mlp_operator.runs.job import PodDefaults, manifest
from mlp_operator.runs.places import PodPlaces
from mlp_operator.runs.recording import TrackedRun
from mlp_operator.runs.status import plan_facts
from mlp_operator.runs.surroundings import choose, given_variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlp.project import Invocation, ProjectFiles
    from mlp.resources import ProjectRun
    from mlp.resources.plan import PlannedDownload, PlannedSource
    from mlp_operator.runs.recording import TrackingServer

__all__ = ["Resolved", "SecretVariable", "as_planned", "check_reach", "check_size", "plan_run"]

_LONGEST_COMMAND: Final = 120_000
"""Bytes. Linux takes one argument, or variable, of at most 131,072 (MAX_ARG_STRLEN), and doubled dollar signs need
room."""

_LONGEST_PLAN: Final = 200_000
"""Bytes. Kubernetes takes 262,144 for all annotations of an object."""

_OF_THE_TRACKING_SERVER: Final = re.compile(r"(runs|models|mlflow-artifacts):/(?!/[^/])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SecretVariable:
    """A variable of main with the value of a secret parameter.

    Attributes:
        variable: Its name.
        secret: The Secret's name.
        key: The key in it.
    """

    variable: str
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """A run whose project is known.

    Attributes:
        plan: What the pod will do.
        docker_image: docker_env.image of the project.
        variables: Environment variables that docker_env sets.
        secret_variables: Environment variables that parameters from Secrets need.
        given: The parameters' values as they were given, where they are resolved once more elsewhere (Databricks).
        python_libraries: What a databricks_spark_job wants to be installed.
    """

    plan: Plan
    docker_image: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    secret_variables: tuple[SecretVariable, ...] = ()
    given: tuple[tuple[str, str], ...] = ()
    python_libraries: tuple[str, ...] = ()


def plan_run(
    run: ProjectRun,
    *,
    files: ProjectFiles,
    source: PlannedSource,
    values: Mapping[str, str],
    secrets: Mapping[str, str],
    tracking: TrackingServer | None,
) -> Resolved:
    """Read the project, type its parameters, form its command.

    Args:
        run: What the user asks for.
        files: The project's files.
        source: Where the pod gets them from.
        values: The values of the parameters, those from ConfigMaps among them.
        secrets: The values of parameters from Secrets. They are checked, and kept nowhere.
        tracking: The tracking server, if there is one.

    Raises:
        ProjectError: The project or the parameters are at fault.
        UsageError: The run asks for something that does not fit the project.
    """
    project = Project.load(files)
    surroundings = choose(run, project.environment)
    places = _places(run, source, surroundings.docker_image)
    secret_variables = _secret_variables(run)
    invocation = project.resolve(
        run.spec.project.entry_point,
        {**values, **secrets},
        files=files,
        places=places,
        references={name: each.variable for name, each in secret_variables.items()},
    )
    check_reach(places.downloads, tracking)
    _passable(secrets)
    plan = Plan(
        source=source,
        project=as_planned(invocation, surroundings.manager, places.downloads),
        downloads=tuple(places.downloads),
        environment=surroundings.environment,
        tracking_uri=None if tracking is None else tracking.uri,
    )
    check_size(plan)
    resolved = Resolved(plan, surroundings.docker_image, surroundings.variables, tuple(secret_variables.values()))
    _possible(run, resolved, tracking)
    return resolved


def _places(run: ProjectRun, source: PlannedSource, docker_image: str | None) -> PodPlaces:
    """What main will see, as far as the run says it itself or in podTemplate."""
    fields = run.spec.backend.kubernetes
    mounts = [mount.mount_path for mount in (fields.volume_mounts or () if fields is not None else ())]
    image = run.spec.environment.image or docker_image
    for container in _overlaid_main(fields.pod_template if fields is not None else None):
        image = image or container.get("image")
        given = container.get("volumeMounts")
        mounts += [each["mountPath"] for each in given if "mountPath" in each] if isinstance(given, list) else []
    return PodPlaces(source.directory, mounts=tuple(mounts), own_image=image is not None)


def _overlaid_main(overlay: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """What podTemplate says of main. Whether it is well-formed is seen when it is laid over the pod."""
    spec = (overlay or {}).get("spec")
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers if isinstance(containers, list) else ():
        if isinstance(container, dict) and container.get("name") == names.MAIN_CONTAINER:
            yield container


def _possible(run: ProjectRun, resolved: Resolved, tracking: TrackingServer | None) -> None:
    """Make a Job for trial: what a volume or podTemplate gets wrong is told now, when it can end the run."""
    tracked = None if tracking is None else TrackedRun(tracking.uri, "0", "0", "")
    manifest(run, resolved, image="", defaults=PodDefaults(""), tracking=tracking, tracked=tracked)


def _secret_variables(run: ProjectRun) -> dict[str, SecretVariable]:
    """By the names of parameters from Secrets: variables that no other has, and that bash can name."""
    taken = set(given_variables(run))
    found: dict[str, SecretVariable] = {}
    for parameter in run.spec.parameters or ():
        selector = parameter.value_from.secret_key_ref if parameter.value_from is not None else None
        if selector is None:
            continue
        base = names.SECRET_VARIABLE + re.sub(r"[^A-Z0-9_]", "_", parameter.name.upper())
        variable, number = base, 1
        while variable in taken:
            number += 1
            variable = f"{base}_{number}"
        taken.add(variable)
        found[parameter.name] = SecretVariable(variable, selector.name, selector.key)
    return found


def as_planned(invocation: Invocation, manager: str, downloads: list[PlannedDownload]) -> PlannedProject:
    """What a plan says of a project."""
    given = {download.parameter: download.uri for download in downloads}
    parameters = [
        PlannedParameter(
            name=each.name,
            type=each.type,
            value=each.value if each.reference is None else None,
            source=each.source,
            given=given.get(each.name),
        )
        for each in invocation.parameters
    ]
    return PlannedProject(
        name=invocation.project_name,
        entry_point=invocation.entry_point,
        command=invocation.command,
        parameters=tuple(parameters),
        manager=manager,
    )


def check_reach(downloads: list[PlannedDownload], tracking: TrackingServer | None) -> None:
    """Refuse downloads from a tracking server that there is not.

    Raises:
        ParameterInvalid: There is such a parameter.
    """
    for download in downloads:
        if tracking is None and _OF_THE_TRACKING_SERVER.match(download.uri):
            raise ParameterInvalid(
                f"Parameter {download.parameter} is {download.uri}, which lies on the tracking server, and there is "
                "none: give spec.tracking.uri in a new ProjectRun, or let the operator's settings name one."
            )


def _passable(secrets: Mapping[str, str]) -> None:
    for name, value in secrets.items():
        if (size := len(value.encode("utf-8", "surrogateescape"))) > _LONGEST_COMMAND:
            raise ParameterInvalid(
                f"The value of parameter {name} from its Secret is too long for an environment variable: {size} bytes, "
                f"and {_LONGEST_COMMAND} are possible. Mount the Secret with spec.backend.kubernetes.volumes and give "
                "the file's path."
            )


def check_size(plan: Plan) -> None:
    """Refuse what fits neither into a pod nor into a status.

    Raises:
        ParameterInvalid: The command with its parameters is too long.
        ProjectInvalid: What the project says of itself is.
    """
    command = len(plan.project.command.encode())
    whole = len(plan.to_json().encode())
    if command > _LONGEST_COMMAND or whole > _LONGEST_PLAN:
        longest = max(plan.project.parameters, key=lambda each: len(each.value or ""), default=None)
        size, limit = (command, _LONGEST_COMMAND) if command > _LONGEST_COMMAND else (whole, _LONGEST_PLAN)
        what = "command" if command > _LONGEST_COMMAND else "command with its parameters"
        name = f", the longest being {longest.name} ({len((longest.value or '').encode())} bytes)" if longest else ""
        raise ParameterInvalid(
            f"The {what} is too long for a pod: {size} bytes, and {limit} are possible{name}. "
            "Put large values into a file that the project reads."
        )
    try:
        plan_facts(plan)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ProjectInvalid(
            f"The project does not fit into a ProjectRun's status, which is where a run is described: {place}: "
            f"{first['msg']}. Shorten it in the MLproject file or in the parameters."
        ) from None
