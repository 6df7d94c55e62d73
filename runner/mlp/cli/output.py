"""What commands print on stdout: objects as YAML, JSON or by name, and tables like kubectl's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Command = TypeVar("Command", bound="Callable[..., Any]")
Object = dict[str, Any]

__all__ = ["Table", "age", "output_option", "print_objects", "print_table", "reference"]

_GAP: Final = "   "
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60))


def output_option(*formats: str) -> Callable[[Command], Command]:
    """Add ``-o/--output`` with these formats; it arrives as ``output``, None if not given."""
    return click.option("-o", "--output", type=click.Choice(formats), help="How to print it.")


def reference(manifest: Mapping[str, Any]) -> str:
    """A ProjectRun by kind and name, as kubectl prints it and takes it."""
    metadata = manifest["metadata"]
    return f"projectrun.mlp.dev/{metadata.get('name') or metadata.get('generateName', '')}"


def print_objects(objects: Sequence[Object], output: str, *, as_list: bool = False, separate: bool = False) -> None:
    """Print objects in a format that programs read.

    Args:
        objects: ProjectRuns.
        output: ``yaml``, ``json`` or ``name``.
        as_list: Print one List, however many there are, instead of one document each.
        separate: Print each as a document that stands for itself, for others may follow.
    """
    if output == "name":
        for item in objects:
            click.echo(reference(item))
        return
    shown = [_without_managed_fields(item) for item in objects]
    if as_list or (output == "json" and len(shown) != 1 and not separate):
        shown = [{"apiVersion": "v1", "kind": "List", "items": shown}]
    if output == "json":
        for item in shown:
            click.echo(json.dumps(item, indent=2, ensure_ascii=False))
        return
    import yaml  # noqa: PLC0415 -- only here

    text = yaml.safe_dump_all(shown, sort_keys=False, allow_unicode=True, width=120, explicit_start=separate)
    click.echo(text, nl=False)


class Table:
    """A table as kubectl prints it; lines can follow, in columns as wide as those before."""

    def __init__(self, header: Sequence[str], *, empty: str = "<none>") -> None:
        self._header = header
        self._empty = empty
        self._widths: list[int] = []

    def print(self, rows: Iterable[Sequence[str]]) -> None:
        """Print rows, the header before the first."""
        for line in self.lines(rows):
            click.echo(line)

    def lines(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """Rows as lines, the header before the first. An empty cell is written as kubectl does, as ``<none>``."""
        lines = [[cell or self._empty for cell in row] for row in rows]
        if not self._widths:
            lines.insert(0, list(self._header))
            self._widths = [0] * len(self._header)
        self._widths = [max(width, *(len(line[n]) for line in lines)) for n, width in enumerate(self._widths)]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, self._widths, strict=True))
            yield _GAP.join(cells).rstrip()


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that is whole."""
    Table(header).print(rows)


def age(moment: str | datetime | None, *, until: datetime | None = None) -> str:
    """How long ago a moment was (or how long before another), in two units at most: 45s, 3m20s, 5h, 12d."""
    if not moment:
        return ""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    seconds = max(0, int(((until or datetime.now(UTC)) - then).total_seconds()))
    if seconds < 120:  # noqa: PLR2004 -- two minutes read well in seconds
        return f"{seconds}s"
    unit, length = next((unit, length) for unit, length in _UNITS if seconds >= 2 * length)
    whole, rest = divmod(seconds, length)
    finer, finer_length = {"d": ("h", 3600), "h": ("m", 60), "m": ("s", 1)}[unit]
    return f"{whole}{unit}" + (f"{rest // finer_length}{finer}" if whole < 10 and rest >= finer_length else "")  # noqa: PLR2004 -- one digit


def _without_managed_fields(item: Object) -> Object:
    """An object without the record of who wrote which field: as kubectl, which hides it too."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {key: metadata if key == "metadata" else value for key, value in item.items()}
