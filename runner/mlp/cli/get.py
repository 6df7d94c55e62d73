"""``mlp get``: one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlp.cli.candidates import runs
from mlp.cli.examples import examples
from mlp.cli.output import age, output_option, print_objects, print_table
from mlp.cli.place import place_options
from mlp.cli.rows import header, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.cli.place import Place
    from mlp.resources import ProjectRun

__all__ = ["command"]


@click.command(
    epilog=examples(
        ("How a run is, and why it is not further", "mlp get wine-main-x7k2p"),
        ("The whole object", "mlp get wine-main-x7k2p -o yaml"),
    )
)
@click.argument("name", shell_complete=runs)
@output_option("wide", "yaml", "json", "name")
@place_options
def command(name: str, *, place: Place, output: str | None) -> None:
    """Show one run: how it is, what it runs, and why it is not further."""
    with place.connect() as cluster:
        run = cluster.get(name)
    if output == "wide":
        print_table(header(wide=True), [row(run, wide=True)])
    elif output is not None:
        print_objects([run], output)
    else:
        from mlp.resources import ProjectRun  # noqa: PLC0415

        for label, value in _lines(ProjectRun.read(run)):
            click.echo(f"{label + ':':<14}{value}" if value else label)


def _lines(run: ProjectRun) -> Iterator[tuple[str, str]]:
    """What people want to know, as label and text; a heading has no text."""
    status, project = run.status, run.spec.project
    yield "Name", run.name
    yield "Namespace", run.namespace
    yield "Created", f"{age(run.created)} ago"
    unseen = " (no operator has looked at it yet)" if status.observed_generation in {None, -1} else ""
    yield "Phase", f"{status.phase or 'Pending'}{unseen}"
    if succeeded := status.condition("Succeeded"):
        yield "Reason", succeeded.reason
        if succeeded.message:
            yield "Message", succeeded.message.replace("\n", "\n" + " " * 14)
    yield "Project", project.uri or "a bundle"
    if project.uri:
        yield "Version", project.version or "the repository's default branch"
    if status.source and status.source.commit:
        yield "Commit", status.source.commit
    yield "Entry point", project.entry_point
    if status.project:
        yield "Command", status.project.command
    if status.kubernetes:
        found = {
            "Job": status.kubernetes.job_name,
            "Pod": status.kubernetes.pod_name,
            "Node": status.kubernetes.node_name,
        }
        yield from ((label, value) for label, value in found.items() if value)
        if status.kubernetes.exit_code is not None:
            yield "Exit code", str(status.kubernetes.exit_code)
    if status.databricks:
        there = {
            "Run": status.databricks.run_id,
            "State": status.databricks.state,
            "Page": status.databricks.run_page_url,
        }
        yield from ((label, value) for label, value in there.items() if value)
    if status.start_time:
        yield "Duration", age(status.start_time, until=status.completion_time)
    yield from _parameters(run)
    yield from _steps(run)


def _parameters(run: ProjectRun) -> Iterator[tuple[str, str]]:
    if run.status.project and run.status.project.parameters:
        yield "Parameters:", ""
        for resolved in run.status.project.parameters:
            value = "(from a Secret)" if resolved.value is None else repr(resolved.value)
            yield f"  {resolved.name} = {value} ({resolved.source})", ""
    elif run.spec.parameters:
        yield "Parameters:", ""
        for given in run.spec.parameters:
            yield f"  {given.name} = {'(from elsewhere)' if given.value is None else repr(given.value)}", ""


def _steps(run: ProjectRun) -> Iterator[tuple[str, str]]:
    if not run.status.steps:
        return
    yield "Steps:", ""
    for step in run.status.steps:
        took = (
            f" in {age(step.start_time, until=step.completion_time)}"
            if step.start_time and step.completion_time
            else ""
        )
        reason = f" ({step.reason})" if step.reason else ""
        yield f"  {step.name:<12}{step.state}{reason}{took}", ""
