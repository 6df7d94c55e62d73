"""A ProjectRun's run in MLflow, as decisions see it: where it is recorded and what it should say. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import Phase
from mlp.resources import names as places
from mlp.source import Resolution, redact, repository_provenance
from mlp.tracking import names, project_tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlp.resources import DatabricksStatus, ProjectRun
    from mlp.resources.plan import Plan, PlannedSource

__all__ = [
    "RunFacts",
    "TrackedRun",
    "TrackingServer",
    "Untracked",
    "abandoned_run",
    "annotation_of",
    "databricks_tags",
    "facts_of",
    "server_of",
    "told_by",
    "wanted_state",
]

SCHEDULED: Final = "SCHEDULED"
RUNNING: Final = "RUNNING"
FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"
KILLED: Final = "KILLED"

_ENVIRONMENTS: Final = {"Conda": "conda", "Virtualenv": "virtualenv", "Image": "docker"}
"""MLflow's words for environment managers. Where the image is taken as it is, it has none."""


@dataclass(frozen=True, slots=True)
class TrackingServer:
    """Where a run is recorded.

    Attributes:
        uri: The server's address, as pods reach it.
        secret: The name of the Secret with its credentials, in the run's namespace.
        own: Whether the run names the server itself. The operator's own credentials are for the operator's server only.
    """

    uri: str
    secret: str | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run that is there in MLflow.

    Attributes:
        uri: The tracking server.
        experiment_id: Its experiment.
        run_id: Its id.
        state: The state that it has been told; of terminal ones the one that it has, which may be the project's own.
    """

    uri: str
    experiment_id: str
    run_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Untracked:
    """MLflow could not be told.

    Attributes:
        reason: CamelCase, for a condition.
        message: What is wrong, and the way out.
        final: Trying again cannot help: wrong credentials, no such experiment.
        retry_at: When to try again.
        run: The run in MLflow, if it is known.
    """

    reason: str
    message: str
    final: bool
    retry_at: datetime
    run: TrackedRun | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run in MLflow says from its beginning.

    Attributes:
        uid: The ProjectRun's uid, by which the run is found.
        experiment: The experiment's name; None is the server's default.
        run_name: The run's name.
        tags: Tags, that with the uid among them.
        parameters: The parameters as they were given, none of them secret.
    """

    uid: str
    experiment: str | None
    run_name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]


def facts_of(run: ProjectRun, plan: Plan, *, image: str | None = None) -> RunFacts:
    """What is recorded of a run when it begins: the same as `mlp run` records, and whose run it is.

    Args:
        run: The run.
        plan: What its project was resolved to.
        image: The image of an environment that is one.
    """
    wanted = run.spec.experiment
    asked = {tag.name: tag.value for tag in (wanted.tags if wanted is not None else None) or ()}
    manager = _ENVIRONMENTS.get(plan.project.manager)
    return RunFacts(
        uid=run.uid,
        experiment=wanted.name if wanted is not None else None,
        run_name=(wanted.run_name if wanted is not None else None) or run.name,
        tags={
            **project_tags(
                entry_point=plan.project.entry_point,
                backend=run.spec.backend.type.lower(),
                project=plan.project.name,
                environment=manager,
                image=(image or run.spec.environment.image) if manager == "docker" else None,
                **_origin(plan.source),
            ),
            **({names.SOURCE_SHA256: plan.source.bundle.sha256} if plan.source.bundle is not None else {}),
            **asked,
            names.PROJECTRUN_UID: run.uid,
            names.PROJECTRUN_NAME: run.name,
            names.PROJECTRUN_NAMESPACE: run.namespace,
        },
        # Addresses may have credentials in them, which are nobody's parameter. Values from Secrets are in no plan.
        parameters={
            parameter.name: redact(parameter.value if parameter.given is None else parameter.given)
            for parameter in plan.project.parameters
            if parameter.value is not None
        },
    )


def databricks_tags(status: DatabricksStatus | None, host: str | None) -> dict[str, str]:
    """MLflow's tags of a run on Databricks: its page there, its number, and the workspace."""
    if status is None or status.run_id is None:
        return {}
    tags = {
        names.DATABRICKS_RUN_URL: status.run_page_url,
        names.DATABRICKS_SHELL_JOB_RUN_ID: status.run_id,
        names.DATABRICKS_WEBAPP_URL: host,
    }
    return {name: value for name, value in tags.items() if value}


def _origin(source: PlannedSource) -> dict[str, Any]:
    if source.bundle is not None:
        name = redact(source.bundle.uri or f"sha256:{source.bundle.sha256}")
        return {"source": f"{name}#{source.subdirectory}" if source.subdirectory else name}
    found = Resolution(commit=source.commit or "", ref=source.ref, version=source.version)
    origin = repository_provenance(source.uri or "", source.subdirectory, found)
    return {
        "source": origin.name,
        "commit": origin.commit,
        "repository": origin.repository,
        "branch": origin.branch,
    }


def annotation_of(server: TrackingServer | None, run: TrackedRun, *, uid: str = "") -> str:
    """What a pod says of its run in MLflow (names.TRACKING_ANNOTATION).

    Args:
        server: Where that is.
        run: The run there.
        uid: The uid of the ProjectRun.
    """
    told = {"uri": run.uri, "runId": run.run_id, "experimentId": run.experiment_id}
    if uid:
        told["projectRun"] = uid
    if server is not None and server.secret is not None:
        told["secret"] = server.secret
    return json.dumps(told)


def told_by(pod: Mapping[str, Any]) -> dict[str, str]:
    """What a pod says of its run in MLflow, as far as it is understood. Whoever may change pods may have said it."""
    try:
        said = json.loads((pod["metadata"].get("annotations") or {}).get(places.TRACKING_ANNOTATION) or "{}")
    except (ValueError, RecursionError):
        return {}
    return {key: each for key, each in said.items() if isinstance(each, str)} if isinstance(said, dict) else {}


def abandoned_run(pod: Mapping[str, Any], default_uri: str | None) -> tuple[TrackingServer, TrackedRun] | None:
    """The run in MLflow that a pod says is its own; None if it says nothing that can be understood."""
    said = told_by(pod)
    uri, run_id = said.get("uri"), said.get("runId")
    if not uri or not run_id:
        return None
    return (
        TrackingServer(uri, said.get("secret"), own=uri != default_uri),
        TrackedRun(uri, said.get("experimentId", ""), run_id, ""),
    )


def server_of(run: ProjectRun, default_uri: str | None, default_secret: str | None) -> TrackingServer | None:
    """The tracking server of a run; None if neither it nor the operator's settings name one."""
    tracking = run.spec.tracking
    secret = tracking.secret_ref.name if tracking is not None and tracking.secret_ref is not None else None
    if tracking is not None and tracking.uri is not None and tracking.uri != default_uri:
        return TrackingServer(tracking.uri, secret, own=True)
    return None if default_uri is None else TrackingServer(default_uri, secret or default_secret)


def wanted_state(phase: str | None) -> str:
    """MLflow's word for a run's phase. What has no pod at work is SCHEDULED there, so that nothing looks busy."""
    match phase:
        case Phase.RUNNING:
            return RUNNING
        case Phase.SUCCEEDED:
            return FINISHED
        case Phase.FAILED:
            return FAILED
        case Phase.CANCELLED:
            return KILLED
    return SCHEDULED
