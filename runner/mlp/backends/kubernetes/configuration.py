"""What ``backend_config`` says to the backend kubernetes: where to run, and fields of the ProjectRun.

Everything that a ProjectRun's spec can say fits under ``spec``; what people ask for most has a short key, and MLflow's
own keys keep their meaning. A key that is neither is an error. No cluster is asked here.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from mlp.backends.kubernetes.job_template import FromTemplate, read_job
from mlp.errors import UsageError

__all__ = ["KEYS", "Configuration", "merged", "read_configuration"]

Object = dict[str, Any]

_PLACE: Final = ("kubeconfig", "context", "namespace", "name", "staging")
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "auth_secret": (("project", "authSecretRef", "name"),),
    "cache_claim": (("environment", "cache", "volumeClaimName"),),
    "cpu": (("backend", "kubernetes", "resources", "requests", "cpu"),),
    "data_secret": (("data", "secretRef", "name"),),
    "environment_secret": (("environment", "secretRef", "name"),),
    "image": (("environment", "image"),),
    # A pod over its memory request is the first to go when a node runs short; one over its limit is killed alone.
    "memory": tuple(("backend", "kubernetes", "resources", kind, "memory") for kind in ("requests", "limits")),
    "priority": (("queuePriorityClassName",),),
    "queue": (("queueName",),),
    "service_account": (("backend", "kubernetes", "serviceAccountName"),),
    "tracking_secret": (("tracking", "secretRef", "name"),),
    "tracking_uri": (("tracking", "uri"),),
}
"""Short keys, and the fields of the spec that they stand for."""
_LISTS: Final = {"parameters": "name", "tags": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
"""Lists of a spec, and what the API server merges their items by."""
_RESOURCES: Final = ("backend", "kubernetes", "resources")
_CONTEXT: Final = "kube-context"
_TEMPLATE: Final = "kube-job-template-path"
_REPOSITORY: Final = "repository-uri"
_MLFLOWS: Final = (_CONTEXT, _TEMPLATE, _REPOSITORY)
KEYS: Final = (*sorted((*_PLACE, *_FIELDS, "files", "resources", "spec")), *_MLFLOWS)
_OF_THE_CALL: Final = ("uri", "bundle", "version", "subdirectory", "entryPoint")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where to run, and how.

    Attributes:
        kubeconfig: A kubeconfig's path.
        context: A context in it.
        namespace: Where the ProjectRun goes.
        name: The ProjectRun's name.
        staging: ``s3://BUCKET/PREFIX`` for a directory that is too large to be sent in a ConfigMap.
        files: Files of this machine that are sent along, by the parameter that gets each.
        spec: Fields of the ProjectRun's spec.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    name: str | None = None
    staging: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    spec: Object = field(default_factory=dict)


def read_configuration(given: Mapping[str, Any]) -> Configuration:
    """Understand a configuration. The most particular word counts: a short key before ``spec``, that before a template.

    Args:
        given: What `mlp.backends.configuration.read_backend_config` has read.

    Raises:
        UsageError: A key that there is not, a value that cannot be one, or a Job template that cannot be honoured.
    """
    for key in given:
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"It may have: {', '.join(KEYS)}."
            raise UsageError(f"The configuration of the backend kubernetes has no '{key}'. {hint}")
    asked = {key: value for key, value in given.items() if value is not None}
    if _REPOSITORY in asked:
        _log.info("'%s' is not used: mlp builds and pushes no image, the project is brought in the pod.", _REPOSITORY)
    template = _template(_text(_TEMPLATE, asked[_TEMPLATE])) if _TEMPLATE in asked else FromTemplate(None, {})
    place = {key: _text(key, asked[key]) for key in _PLACE if key in asked}
    if _CONTEXT in asked:
        context = _text(_CONTEXT, asked[_CONTEXT])
        if place.setdefault("context", context) != context:
            raise UsageError(f"'{_CONTEXT}' and 'context' name two contexts. Leave one out.")
    if template.namespace and not place.get("namespace"):
        place["namespace"] = template.namespace
    spec = merged(template.spec, _spec(asked.get("spec", {})))
    if "image" in asked:
        # An image alone is meant as it is, without an environment built in it.
        spec = merged(_at(("environment", "manager"), "Image"), spec)
    files = {name: Path(_text("files", path)) for name, path in _mapping("files", asked.get("files", {})).items()}
    return Configuration(**place, files=files, spec=merged(spec, _fields(asked)))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    """Fields with others laid over them: objects key by key, lists of named things by name, all else as a whole."""
    result = dict(base)
    for key, value in over.items():
        before: Any = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[key] = merged(before, value)
        elif (name := _LISTS.get(key)) and _have(before, name) and _have(value, name):
            given = {item[name] for item in value}
            result[key] = [*(item for item in before if item[name] not in given), *value]
        else:
            result[key] = value
    return result


def _have(value: object, name: str) -> bool:
    """Whether a list's items all have such a name; what is malformed is refused with the whole spec."""
    return isinstance(value, list) and all(isinstance(item, Mapping) and name in item for item in value)


def _text(key: str, value: object) -> str:
    if isinstance(value, str | int | float | Path) and not isinstance(value, bool) and str(value):
        return str(value)
    raise UsageError(f"'{key}' in the backend's configuration must be a text, and is {str(value)[:60]!r}.")


def _spec(value: object) -> Object:
    spec = _mapping("spec", value)
    project = spec.get("project")
    if isinstance(project, Mapping) and (named := [key for key in _OF_THE_CALL if key in project]):
        raise UsageError(
            f"spec.project.{named[0]} in the backend's configuration is for the call itself to say: give a URI, a "
            "version, an entry point there."
        )
    return spec


def _mapping(key: str, value: object) -> Object:
    if not isinstance(value, Mapping):
        raise UsageError(f"'{key}' in the backend's configuration must be an object, and is {str(value)[:60]!r}.")
    return dict(value)


def _fields(asked: Mapping[str, Any]) -> Object:
    spec: Object = {}
    if "resources" in asked:
        spec = _at(_RESOURCES, _mapping("resources", asked["resources"]))
    for key, paths in _FIELDS.items():
        for path in paths if key in asked else ():
            spec = merged(spec, _at(path, _text(key, asked[key])))
    return spec


def _at(path: tuple[str, ...], value: object) -> Object:
    result: Any = value
    for key in reversed(path):
        result = {key: result}
    assert isinstance(result, dict)  # noqa: S101 -- no path is empty
    return result


def _template(path: str) -> FromTemplate:
    try:
        job = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Could not find '{_TEMPLATE}': {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"The Job template {path} is not YAML: {error}") from error
    if not isinstance(job, Mapping):
        raise UsageError(f"The Job template {path} holds no object; a Job begins with 'apiVersion: batch/v1'.")
    try:
        return read_job(job)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
