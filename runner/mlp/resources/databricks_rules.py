"""What a spec cannot ask for together with the backend Databricks, and the way out of each.

Fields that shape a pod or a Job have nothing to act on there, and no secret of the cluster leaves it: each is refused
where it is written, by its name, instead of being passed over in silence. What shapes the run there itself is in
mlp.resources.databricks.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from pydantic.alias_generators import to_camel

from mlp.resources.model import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlp.resources.spec import ProjectRunSpec

__all__ = ["DATABRICKS_RULES"]

_SCOPE: Final = (
    "put it into a secret scope of Databricks and name it in newCluster.spark_env_vars as {{secrets/SCOPE/KEY}}"
)
_NO_SECRETS: Final = f"no secret leaves the cluster for Databricks: {_SCOPE}"
_ELSEWHERE: Final = "self.backend.type != 'Databricks'"
_FROM_GIT: Final = "has(self.backend.databricks) && self.backend.databricks.projectSource == 'Git'"


def _is_elsewhere(spec: ProjectRunSpec) -> bool:
    return spec.backend.type != "Databricks"


def _takes_from_git(spec: ProjectRunSpec) -> bool:
    return spec.backend.databricks is not None and spec.backend.databricks.project_source == "Git"


def _value(spec: Any, path: Iterable[str]) -> Any:  # noqa: ANN401 -- a part of a spec
    for name in path:
        spec = None if spec is None else getattr(spec, name)
    return spec


def _without(path: str, message: str) -> Rule:
    """The rule that a run on Databricks has no such field, given by its Python names."""
    names = path.split(".")
    aliases = [to_camel(name) for name in names]
    there = " && ".join(f"has(self.{step})" for step in itertools.accumulate(aliases, "{}.{}".format))
    return Rule(
        f"{_ELSEWHERE} || !({there})",
        message,
        lambda spec: _is_elsewhere(spec) or _value(spec, names) is None,
        field=".".join(aliases),
    )


DATABRICKS_RULES: Final = (
    Rule(
        f"{_ELSEWHERE} || !(has(self.queueName) || has(self.queuePriorityClassName))",
        "queues are for the backend Kubernetes; Databricks has its own",
        lambda spec: _is_elsewhere(spec) or not (spec.queue_name or spec.queue_priority_class_name),
        field="queueName",
    ),
    _without("retention", "retention is about Jobs, and a run on Databricks has none; leave it out"),
    _without(
        "environment.image",
        "images are for the backend Kubernetes; leave it out, and choose the runtime in newCluster.spark_version",
    ),
    Rule(
        f"{_ELSEWHERE} || self.environment.manager != 'Image'",
        "images are for the backend Kubernetes; Local is the cluster's own Python",
        lambda spec: _is_elsewhere(spec) or spec.environment.manager != "Image",
        field="environment.manager",
    ),
    _without(
        "environment.cache",
        "the cache is for the backend Kubernetes; leave it out, for on Databricks an environment is built for its run",
    ),
    _without("environment.secret_ref", _NO_SECRETS),
    # A bundle in a store is fetched by the operator.
    Rule(
        f"{_ELSEWHERE} || !(has(self.data) && has(self.data.secretRef)) || "
        "(has(self.project.bundle) && has(self.project.bundle.uri))",
        _NO_SECRETS,
        lambda spec: (
            _is_elsewhere(spec)
            or _value(spec, ["data", "secret_ref"]) is None
            or _value(spec, ["project", "bundle", "uri"]) is not None
        ),
        field="data.secretRef",
    ),
    Rule(
        f"{_ELSEWHERE} || !has(self.parameters) || "
        "!self.parameters.exists(p, has(p.valueFrom) && has(p.valueFrom.secretKeyRef))",
        f"the value of a secretKeyRef would have to leave the cluster for Databricks: {_SCOPE}",
        lambda spec: (
            _is_elsewhere(spec)
            or not any(
                given.value_from is not None and given.value_from.secret_key_ref is not None
                for given in spec.parameters or ()
            )
        ),
        field="parameters",
    ),
    Rule(
        f"!({_FROM_GIT}) || has(self.project.uri)",
        "projectSource Git needs a Git repository in project.uri; a bundle is uploaded with projectSource Archive",
        lambda spec: not _takes_from_git(spec) or spec.project.uri is not None,
        field="backend.databricks.projectSource",
    ),
    Rule(
        f"!({_FROM_GIT}) || self.environment.manager in ['Auto', 'Local']",
        "with projectSource Git a script runs in the cluster's own Python: use Local, or projectSource Archive",
        lambda spec: not _takes_from_git(spec) or spec.environment.manager in {"Auto", "Local"},
        field="environment.manager",
    ),
)
