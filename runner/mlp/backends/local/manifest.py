"""What a ProjectRun means on this machine.

Three kinds of fields: those that say what is executed act; those that say how a cluster has to go about it are named in
one line and do nothing; those that change what is executed, and cannot be honoured here, refuse the run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlp.backends.local.request import Request
from mlp.errors import FieldNotSupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from mlp.resources import ProjectRun
    from mlp.resources.source import ProjectSource
    from mlp.resources.spec import ProjectRunSpec

__all__ = ["not_applied", "request"]

_MANAGERS: Final = {"Auto": None, "Local": "local", "Image": "local", "Conda": "conda", "Virtualenv": "virtualenv"}

# What acts here; everything else that is set concerns the cluster.
_ACTING: Final = frozenset({
    "project.uri", "project.version", "project.subdirectory", "project.entryPoint", "project.submodules",
    "project.lfs", "parameters", "experiment", "environment.manager", "backend.type",
})  # fmt: skip
_OPENED: Final = frozenset({"project", "environment", "backend", "backend.kubernetes"})
_NOTES: Final = {
    "project.authSecretRef": "your own Git credentials are used",
    "tracking": "the store that MLFLOW_TRACKING_URI names is used",
    "data": "your own credentials are used",
    "backend.databricks": "this machine is used",
    "backend.kubernetes.env": "set the variables yourself",
    "backend.kubernetes.envFrom": "set the variables yourself",
}


def request(run: ProjectRun, *, uri: str | None, parameters: Mapping[str, str]) -> Request:
    """The request that a ProjectRun makes.

    Args:
        run: The ProjectRun.
        uri: Where to take the project from instead. The version and the subdirectory in the manifest belong to the URI
            there, and do not count then.
        parameters: Values that replace the manifest's or stand beside them.

    Raises:
        FieldNotSupported: A field changes what is executed and cannot be honoured on this machine.
    """
    spec = run.spec
    experiment = spec.experiment
    asked = Request(
        uri=uri or "",
        entry_point=spec.project.entry_point,
        parameters=_values(spec, parameters),
        secrets=frozenset(
            parameter.name
            for parameter in spec.parameters or ()
            if parameter.value_from is not None and parameter.value_from.secret_key_ref is not None
        ),
        env_manager=_MANAGERS[spec.environment.manager],
        experiment_name=experiment.name if experiment else None,
        run_name=experiment.run_name if experiment else None,
        tags={tag.name: tag.value for tag in experiment.tags or ()} if experiment else {},
        submodules=spec.project.submodules,
    )
    if uri is not None:
        return asked
    return replace(
        asked, uri=_repository(spec.project), subdirectory=spec.project.subdirectory, version=spec.project.version
    )


def not_applied(run: ProjectRun) -> tuple[str, ...]:
    """The fields that are set and do nothing on this machine, as paths."""
    return tuple(
        f"spec.{path}" + (f" ({_NOTES[path]})" if path in _NOTES else "")
        for path in _set(run.spec, "")
        if path not in _ACTING
    )


def _repository(project: ProjectSource) -> str:
    if project.uri is None:
        raise FieldNotSupported(
            "spec.project.bundle cannot be run on this machine. Name the project itself: mlp run DIRECTORY -f FILE."
        )
    return project.uri


def _values(spec: ProjectRunSpec, given: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for parameter in spec.parameters or ():
        value = given.get(parameter.name, parameter.value)
        if value is None:
            raise FieldNotSupported(
                f"The value of parameter {parameter.name} lies in the cluster (spec.parameters[].valueFrom). Give it "
                f"here: -P {parameter.name}=VALUE."
            )
        values[parameter.name] = value
    return {**values, **given}


def _set(model: BaseModel, prefix: str) -> Iterator[str]:
    """The JSON paths of what is set to something else than its default."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name not in model.model_fields_set or value is None or value == field.default:
            continue
        path = f"{prefix}{field.alias or name}"
        if path in _OPENED:
            yield from _set(value, f"{path}.")
        else:
            yield path
