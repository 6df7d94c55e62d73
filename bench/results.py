"""What a figure hands back, and how it is shown: tables for people, the same as JSON for programs.

Knows nothing of what was measured. Numbers are rounded for people only.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Cell", "Result", "Table", "machine", "render"]

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Some numbers that belong together.

    Attributes:
        title: What they are.
        columns: Names with units; the first column names the row.
        rows: One cell a column. None where there is nothing to say.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Rows as objects, numbers as they were measured."""
        rows = [
            {name: cell for name, cell in zip(self.columns, row, strict=True) if cell is not None} for row in self.rows
        ]
        return {"title": self.title, "rows": rows}


@dataclass(frozen=True, slots=True)
class Result:
    """One figure.

    Attributes:
        title: What was measured.
        how: How, in a sentence or two.
        tables: The numbers.
        complaints: What makes the numbers doubtful: two counts that should agree and do not.
    """

    title: str
    how: str
    tables: tuple[Table, ...]
    complaints: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        tables = [table.to_json() for table in self.tables]
        return {"title": self.title, "how": self.how, "tables": tables, "complaints": list(self.complaints)}


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        # Who else was using the cores when this began.
        "load": round(os.getloadavg()[0], 2),
    }


def render(result: Result) -> str:
    """The figure as text."""
    parts = [f"## {result.title}", result.how]
    parts += [f"{table.title}\n{_grid(table.columns, table.rows)}" for table in result.tables]
    parts += [f"DOUBTFUL: {complaint}" for complaint in result.complaints]
    return "\n\n".join(parts) + "\n"


def _grid(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    texts = [list(columns), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[number]) for row in texts) for number in range(len(columns))]
    numeric = [
        all(not isinstance(row[number], str) for row in rows) and number > 0 for number in range(len(columns))
    ]  # fmt: skip

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        return "  " + "  ".join(cells).rstrip()

    return "\n".join([line(texts[0]), "  " + "  ".join("-" * width for width in widths), *map(line, texts[1:])])


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case float():
            return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
        case _:
            return str(cell)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
