"""``mlp list``: the runs in a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlp.cli.examples import examples
from mlp.cli.output import age, output_option, print_objects, print_table
from mlp.cli.place import place_options

if TYPE_CHECKING:
    from mlp.cli.place import Place

__all__ = ["command", "print_runs"]

Object = dict[str, Any]


@click.command(
    "list",
    epilog=examples(
        ("The runs of the current namespace", "mlp list"),
        ("Those of everybody, with their projects and commits", "mlp list -A -o wide"),
        ("The names of those with a label", "mlp list -l team=a -o name"),
    ),
)
@click.option("-A", "--all-namespaces", is_flag=True, help="The runs of all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Only runs with these labels, such as team=a,stage!=test.")
@output_option("wide", "yaml", "json", "name")
@place_options
def command(*, place: Place, all_namespaces: bool, selector: str | None, output: str | None) -> None:
    """List the runs in a cluster, the newest first."""
    if all_namespaces and place.namespace:
        raise click.UsageError("-A means all namespaces, and -n one of them.")
    with place.connect() as cluster:
        runs = cluster.runs(all_namespaces=all_namespaces, selector=selector)
    if output in {"yaml", "json", "name"}:
        print_objects(runs, str(output), as_list=True)
    elif not runs:
        where = "in any namespace" if all_namespaces else f"in namespace {cluster.namespace}"
        click.echo(f"No runs {where}.", err=True)
    else:
        print_runs(runs, wide=output == "wide", namespaces=all_namespaces)


def print_runs(runs: list[Object], *, wide: bool = False, namespaces: bool = False) -> None:
    """Print a table of runs, with the columns that `kubectl get` has."""
    header = ["NAME", "PHASE", "REASON", "ENTRY", "BACKEND", "AGE"]
    if namespaces:
        header.insert(0, "NAMESPACE")
    if wide:
        header += ["PROJECT", "COMMIT", "ATTEMPTS", "JOB", "MLFLOW", "STARTED", "FINISHED"]
    print_table(header, [_row(run, wide=wide, namespaces=namespaces) for run in runs])


def _row(run: Object, *, wide: bool, namespaces: bool) -> list[str]:
    metadata, spec, status = run["metadata"], run["spec"], run.get("status", {})
    reason = next((c["reason"] for c in status.get("conditions", ()) if c["type"] == "Succeeded"), "")
    row = [
        metadata["name"],
        status.get("phase", ""),
        reason,
        spec["project"].get("entryPoint", ""),
        spec["backend"]["type"],
        age(metadata["creationTimestamp"]),
    ]
    if namespaces:
        row.insert(0, metadata["namespace"])
    if wide:
        row += [
            status.get("project", {}).get("name", ""),
            status.get("source", {}).get("commit", "")[:12],
            str(status.get("attempts", "")),
            status.get("kubernetes", {}).get("jobName", ""),
            status.get("mlflow", {}).get("runId", ""),
            age(status.get("startTime")),
            age(status.get("completionTime")),
        ]
    return row
