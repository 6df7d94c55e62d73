"""From what a user asks and what the project says to a plan. Pure: a user's mistakes end here, before any pod."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from mlp.errors import FieldNotSupported, ParameterInvalid, ProjectInvalid, UsageError
from mlp.project import Project
from mlp.resources import names
from mlp.resources.plan import Plan, PlannedParameter, PlannedProject, PlannedSource
from mlp_operator.runs.status import plan_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.project import Environment, Invocation, ProjectFiles
    from mlp.resources import ProjectRun

__all__ = ["PodPlaces", "Resolved", "plan_run", "refuse_unsupported"]

_LONGEST_COMMAND: Final = 120_000
"""Bytes. Linux takes one argument of at most 131,072 (MAX_ARG_STRLEN), and doubled dollar signs need room."""

_LONGEST_PLAN: Final = 200_000
"""Bytes. Kubernetes takes 262,144 for all annotations of an object."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://?")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A run whose project is known.

    Attributes:
        plan: What the pod will do.
        docker_image: docker_env.image of the project.
        variables: Environment variables that docker_env sets.
    """

    plan: Plan
    docker_image: str | None = None
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PodPlaces:
    """What paths and URIs mean in a pod: a relative one is relative to the project.

    Attributes:
        root: The project's directory in the pod.
    """

    root: str

    def path(self, parameter: str, value: str, *, default: bool) -> str:
        """A local path of the pod.

        Raises:
            ParameterInvalid: It is a remote URI, which nothing downloads yet.
        """
        del default
        if value.startswith("file:"):
            value = re.sub(r"^file:(//)?", "", value)
        elif _SCHEME.match(value):
            raise ParameterInvalid(
                f"Parameter {parameter} is of type path and got {value}: this version does not download in the "
                "cluster. Declare it as uri and read it in the project, or mount the data with "
                "spec.backend.kubernetes.volumes and give its path."
            )
        return posixpath.normpath(posixpath.join(self.root, value))

    def uri(self, parameter: str, value: str, *, default: bool) -> str:
        """A URI without a scheme is a path of the pod."""
        del parameter, default
        return posixpath.normpath(posixpath.join(self.root, value))


def refuse_unsupported(run: ProjectRun) -> None:
    """Refuse the fields of the API that this version does not act on, instead of ignoring them.

    Raises:
        FieldNotSupported: The message names every such field of this run.
    """
    spec = run.spec
    project, environment, kubernetes = spec.project, spec.environment, spec.backend.kubernetes
    asked: Mapping[str, bool] = {
        "spec.project.bundle": project.bundle is not None,
        "spec.project.lfs": project.lfs,
        "spec.experiment": spec.experiment is not None,
        "spec.tracking": spec.tracking is not None,
        "spec.data": spec.data is not None,
        "spec.environment.manager Conda": environment.manager == "Conda",
        "spec.environment.manager Virtualenv": environment.manager == "Virtualenv",
        "spec.environment.cache": environment.cache is not None
        and (environment.cache.policy != "Use" or environment.cache.volume_claim_name is not None),
        "spec.environment.secretRef": environment.secret_ref is not None,
        "spec.backend.type Databricks": spec.backend.type == "Databricks",
        "spec.backend.kubernetes.podTemplate": kubernetes is not None and kubernetes.pod_template is not None,
        "spec.queueName": spec.queue_name is not None,
        "spec.queuePriorityClassName": spec.queue_priority_class_name is not None,
        **{
            f"spec.parameters[{parameter.name}].valueFrom": parameter.value_from is not None
            for parameter in spec.parameters or ()
        },
    }
    refused = [field for field, present in asked.items() if present]
    if refused:
        raise FieldNotSupported(
            f"This version of mlp does not act on {', '.join(refused)}. "
            f"Create a new ProjectRun without {'it' if len(refused) == 1 else 'them'}."
        )


def plan_run(
    run: ProjectRun,
    *,
    uri: str,
    subdirectory: str,
    commit: str,
    ref: str | None,
    files: ProjectFiles,
    protocols: tuple[str, ...],
    other_hosts: bool = False,
) -> Resolved:
    """Read the project, type its parameters, form its command.

    Args:
        run: What the user asks for.
        uri: The repository, without ``#subdirectory``.
        subdirectory: The project's directory in it.
        commit: 40 hexadecimal digits.
        ref: The full ref that the version named.
        files: The project's files at that commit.
        protocols: The transports that Git may use in the pod.
        other_hosts: Whether submodules may come from other hosts.

    Raises:
        ProjectError: The project or the parameters are at fault.
        UsageError: The run asks for something that does not fit the project.
    """
    project = Project.load(files)
    given = {parameter.name: parameter.value or "" for parameter in run.spec.parameters or ()}
    places = PodPlaces(posixpath.normpath(posixpath.join(names.PROJECT_DIRECTORY, subdirectory)))
    invocation = project.resolve(run.spec.project.entry_point, given, files=files, places=places)
    manager, variables = _environment(run, invocation.environment)
    plan = Plan(
        source=PlannedSource(
            uri=uri,
            commit=commit,
            ref=ref,
            version=run.spec.project.version,
            subdirectory=subdirectory,
            submodules=run.spec.project.submodules,
            protocols=protocols,
            other_hosts=other_hosts,
            credentials=run.spec.project.auth_secret_ref is not None,
        ),
        project=_planned(invocation, manager),
    )
    _fits(plan)
    return Resolved(plan, invocation.environment.image, variables)


def _planned(invocation: Invocation, manager: str) -> PlannedProject:
    parameters = [
        PlannedParameter(name=each.name, type=each.type, value=each.value, source=each.source)
        for each in invocation.parameters
    ]
    return PlannedProject(
        name=invocation.project_name,
        entry_point=invocation.entry_point,
        command=invocation.command,
        parameters=tuple(parameters),
        manager=manager,
    )


def _environment(run: ProjectRun, wanted: Environment) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The manager, and the variables that docker_env sets."""
    asked = run.spec.environment.manager
    if asked == "Auto" and wanted.kind in ("conda", "python"):
        raise FieldNotSupported(
            f"spec.environment.manager: the project asks for a {wanted.kind} environment ({wanted.file}), and this "
            "version of mlp does not build environments in the cluster. Create a new ProjectRun with "
            "spec.environment {manager: Local, image: <an image that has the dependencies>}."
        )
    if asked == "Image" and run.spec.environment.image is None and wanted.image is None:
        raise UsageError(
            "spec.environment.manager Image needs an image: give spec.environment.image in a new ProjectRun, or "
            "docker_env.image in the project."
        )
    manager = "Image" if asked == "Image" or (asked == "Auto" and wanted.kind == "docker") else "Local"
    return manager, _docker_variables(run, wanted) if wanted.kind == "docker" else ()


def _docker_variables(run: ProjectRun, wanted: Environment) -> tuple[tuple[str, str], ...]:
    if wanted.volumes:
        raise UsageError(
            f"docker_env.volumes of the project ({', '.join(wanted.volumes)}) name directories of a host, which a pod "
            "does not get. Take them out of the MLproject file and mount what the run needs with "
            "spec.backend.kubernetes.volumes."
        )
    fields = run.spec.backend.kubernetes
    provided = {variable.name for variable in (fields.env or () if fields is not None else ())}
    copied = [each for each in wanted.variables if isinstance(each, str)]
    missing = [name for name in copied if name not in provided]
    if missing:
        raise UsageError(
            f"This project expects the environment variables {copied} to be set on the machine running the project, "
            f"and a pod has no such machine: give {', '.join(missing)} in spec.backend.kubernetes.env."
        )
    return tuple(each for each in wanted.variables if not isinstance(each, str) and each[0] not in provided)


def _fits(plan: Plan) -> None:
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
