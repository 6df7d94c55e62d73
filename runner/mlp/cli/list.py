"""``mlp list``: the runs in a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlp.cli.examples import examples
from mlp.cli.output import Table, output_option, print_objects
from mlp.cli.place import place_options
from mlp.cli.rows import header, row
from mlp.resources.conditions import Phase

if TYPE_CHECKING:
    from mlp.backends.kubernetes import Cluster, Listing, Selection
    from mlp.cli.place import Place

__all__ = ["command"]

Object = dict[str, Any]


@click.command(
    "list",
    epilog=examples(
        ("The runs of the current namespace", "mlp list"),
        ("Those of everybody, with their projects and commits", "mlp list -A -o wide"),
        ("The names of those with a label", "mlp list -l team=a -o name"),
        ("Those that failed; and what comes to pass", "mlp list --phase Failed -w"),
    ),
)
@click.option("-A", "--all-namespaces", is_flag=True, help="The runs of all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Only runs with these labels, such as team=a,stage!=test.")
@click.option(
    "--phase",
    type=click.Choice([phase.value for phase in Phase], case_sensitive=False),
    metavar="PHASE",
    help="Only runs in this phase, such as Running or Failed.",
)
@click.option("-w", "--watch", is_flag=True, help="Go on with every change, until Ctrl-C.")
@output_option("wide", "yaml", "json", "name")
@place_options
def command(
    *, place: Place, all_namespaces: bool, selector: str | None, phase: str | None, watch: bool, output: str | None
) -> None:
    """List the runs in a cluster, the newest first."""
    if all_namespaces and place.namespace:
        raise click.UsageError("-A means all namespaces, and -n one of them.")
    with place.connect() as cluster:
        from mlp.backends.kubernetes import Selection  # noqa: PLC0415

        meant = Selection(
            all_namespaces=all_namespaces, labels=selector, fields=f"status.phase={phase}" if phase else None
        )
        listing = cluster.listing(meant)
        table = _print(listing.items, output, cluster, meant, watch=watch)
        if watch:
            _watch(cluster, meant, listing, output, table)


def _print(items: list[Object], output: str | None, cluster: Cluster, meant: Selection, *, watch: bool) -> Table:
    """Print what there is. The table, for what comes later."""
    table = Table(header(wide=output == "wide", namespaces=meant.all_namespaces))
    if output in {"yaml", "json", "name"}:
        # While a list goes on it has no end that could close it.
        print_objects(items, str(output), as_list=not watch, separate=watch)
    elif items:
        table.print([row(run, wide=output == "wide", namespaces=meant.all_namespaces) for run in items])
    else:
        where = "in any namespace" if meant.all_namespaces else f"in namespace {cluster.namespace}"
        which = " of that kind" if meant.labels or meant.fields else ""
        click.echo(f"No runs{which} {where}.", err=True)
    return table


def _watch(cluster: Cluster, meant: Selection, listing: Listing, output: str | None, table: Table) -> None:
    for run, gone in cluster.changes(meant, listing):
        if gone and (meant.labels or meant.fields):
            continue  # it may be there, and not be one of those any more
        if output in {"yaml", "json", "name"}:
            if not gone:
                print_objects([run], str(output), separate=True)
            continue
        line = row(run, wide=output == "wide", namespaces=meant.all_namespaces)
        if gone:
            line[2 if meant.all_namespaces else 1] = "Deleted"
        table.print([line])
