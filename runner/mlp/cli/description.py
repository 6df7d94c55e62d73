"""What ``mlp describe`` says of a run. Pure: a run and events in, lines out.

In front stands what people ask first, how it is and why; at the end what they can do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.backends.kubernetes import tracking_page
from mlp.cli.advice import advice
from mlp.cli.output import Table, age

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mlp.backends.kubernetes.events import Event
    from mlp.resources import Condition, ProjectRun
    from mlp.resources.databricks import DatabricksBackend

__all__ = ["described_run"]

_WIDTH: Final = 14
_FROM_SECRET: Final = "(from a Secret)"  # noqa: S105 -- what stands in its place


def described_run(run: ProjectRun, *, events: Iterable[Event], call: Callable[..., str]) -> Iterator[str]:
    """The lines.

    Args:
        run: The run.
        events: What was noted about it.
        call: The command line of a command of mlp, with its arguments.
    """
    yield from _labelled(_head(run))
    yield from _section("What it runs", _labelled(_project(run)))
    yield from _section("Parameters", _parameters(run))
    yield from _section("Where", _labelled(_whereabouts(run)))
    yield from _section("Databricks", _labelled(_on_databricks(run)))
    yield from _section("MLflow", _labelled(_tracking(run)))
    yield from _section("Steps", _steps(run))
    yield from _section("Conditions", _conditions(run.status.conditions or ()))
    yield from _section("Events", _events(events))
    yield from _section("What to do next", advice(run, call))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in found)


def _labelled(pairs: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    """Pairs of a label and a text, those without a text left out; further lines of a text stand below its first."""
    for label, text in pairs:
        if text:
            first, *others = text.splitlines()
            yield f"{label + ':':<{_WIDTH}}{first}"
            yield from (f"{'':<{_WIDTH}}{line}" for line in others)


def _head(run: ProjectRun) -> Iterator[tuple[str, str | None]]:
    status = run.status
    yield "Name", run.name
    yield "Namespace", run.namespace
    unseen = " (no operator has looked at it yet)" if status.observed_generation in {None, -1} else ""
    yield "Phase", f"{status.phase or 'Pending'}{unseen}"
    if succeeded := status.condition("Succeeded"):
        why = succeeded.reason if succeeded.reason != status.phase else ""
        yield "Why", ": ".join(filter(None, (why, succeeded.message))) or None
    if run.spec.shutdown and not run.finished:
        yield "Shutdown", f"{run.spec.shutdown} is asked for"
    yield "Created", f"{age(run.created)} ago"
    if status.start_time:
        yield "Duration", age(status.start_time, until=status.completion_time)
    if status.attempts:
        yield "Attempts", f"{status.attempts} of {run.spec.backoff_limit + 1}"
    yield "Labels", ", ".join(f"{key}={value}" for key, value in run.metadata.labels.items())


def _project(run: ProjectRun) -> Iterator[tuple[str, str | None]]:
    spec, status = run.spec.project, run.status
    found = status.source
    yield "Project", spec.uri or "sent along as an archive"
    yield "Subdirectory", (found and found.subdirectory) or spec.subdirectory
    if spec.uri:
        yield "Version", spec.version or "the repository's default branch"
    if found:
        yield "Commit", found.commit
        yield "SHA-256", found.sha256
    yield "Entry point", spec.entry_point
    if status.project:
        yield "Command", status.project.command
        yield "Environment", status.project.environment.manager if status.project.environment else None
    yield "Image", run.spec.environment.image


def _parameters(run: ProjectRun) -> Iterator[str]:
    resolved = run.status.project and run.status.project.parameters
    if resolved:
        rows = [
            [each.name, _FROM_SECRET if each.value is None else repr(each.value), each.type or "", each.source]
            for each in resolved
        ]
        yield from Table(["NAME", "VALUE", "TYPE", "FROM"]).lines(rows)
    elif run.spec.parameters:
        rows = [
            [each.name, "(from elsewhere)" if each.value is None else repr(each.value)] for each in run.spec.parameters
        ]
        yield from Table(["NAME", "VALUE"]).lines(rows)


def _whereabouts(run: ProjectRun) -> Iterator[tuple[str, str | None]]:
    if found := run.status.kubernetes:
        yield "Job", found.job_name
        yield "Pod", found.pod_name
        yield "Node", found.node_name
        yield "Exit code", None if found.exit_code is None else str(found.exit_code)
    yield "Queue", run.spec.queue_name


def _on_databricks(run: ProjectRun) -> Iterator[tuple[str, str | None]]:
    if asked := run.spec.backend.databricks:
        yield "Workspace", asked.host or "as its Secret says"
        yield "Compute", _compute(asked)
    if found := run.status.databricks:
        yield "Run", found.run_id
        yield "State", found.state
        yield "Page", found.run_page_url
        # A run that was held is submitted anew, which counts as no attempt.
        yield "Submission", None if found.attempt is None else str(found.attempt)
        if found.status_check_failure_time and not run.finished:
            yield "Unreadable", f"for {age(found.status_check_failure_time)}"
        yield "Ended for", found.cancel_reason
        if found.log_config_map_name:
            yield "Log", f"ConfigMap {found.log_config_map_name}"


def _compute(asked: DatabricksBackend) -> str:
    if asked.cluster is None:
        version = asked.serverless and asked.serverless.environment_version
        return f"serverless, environment version {version}" if version else "serverless"
    if asked.cluster.existing_cluster_id:
        return f"cluster {asked.cluster.existing_cluster_id}"
    return "a cluster of its own"


def _tracking(run: ProjectRun) -> Iterator[tuple[str, str | None]]:
    if mlflow := run.status.mlflow:
        yield "Server", mlflow.uri
        yield "Experiment", mlflow.experiment_id
        yield "Run", mlflow.run_id
        yield "State", mlflow.state
        yield "Page", tracking_page(mlflow)
    if (tracked := run.status.condition("Tracked")) and tracked.status != "True":
        yield "Not recorded", f"{tracked.reason}: {tracked.message}"


def _steps(run: ProjectRun) -> Iterator[str]:
    rows = [
        [
            step.name,
            step.state,
            f"{age(step.start_time)} ago" if step.start_time else "",
            age(step.start_time, until=step.completion_time),
            step.reason or "",
        ]
        for step in run.status.steps or ()
    ]
    if rows:
        yield from Table(["STEP", "STATE", "STARTED", "TOOK", "REASON"], empty="").lines(rows)


def _conditions(conditions: Sequence[Condition]) -> Iterator[str]:
    if conditions:
        rows = [[each.type, each.status, each.reason, age(each.last_transition_time)] for each in conditions]
        yield from Table(["TYPE", "STATUS", "REASON", "FOR"]).lines(rows)


def _events(events: Iterable[Event]) -> Iterator[str]:
    rows = [
        [
            age(event.moment) + (f" (x{event.count})" if event.count > 1 else ""),
            "Warning" if event.warning else "Normal",
            event.reason,
            event.about,
            " ".join(event.message.split()),
        ]
        for event in events
    ]
    if rows:
        yield from Table(["AGE", "TYPE", "REASON", "ABOUT", "MESSAGE"], empty="").lines(rows)
