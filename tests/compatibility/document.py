"""docs/compatibility.md, made of the rows: ``python -m tests.compatibility`` writes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.compatibility.cluster import CLUSTER
from tests.compatibility.databricks import DATABRICKS
from tests.compatibility.projects import COMMANDS, FILE, PARAMETERS
from tests.compatibility.row import Verdict
from tests.compatibility.runs import COMMAND_LINE, LIFE, TRACKING
from tests.compatibility.sources import ENVIRONMENTS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.compatibility.row import Row

ROOT: Final = Path(__file__).parents[2]
FILE_NAME: Final = "docs/compatibility.md"
MLFLOW: Final = "3.17"
TABLES: Final = (FILE, PARAMETERS, COMMANDS, SOURCES, ENVIRONMENTS, TRACKING, LIFE, COMMAND_LINE, CLUSTER, DATABRICKS)

_INTRODUCTION: Final = f"""\
# mlp beside MLflow Projects

What `mlflow run` and `mlflow.projects.run` of MLflow {MLFLOW} do, measured or read in its code, and what
[`mlp run`](run.md) and `mlp.run` do. [One table](#k-in-a-cluster) is about MLflow's Kubernetes backend, and what
its users have asked for, beside [ProjectRuns](kubernetes.md); [the last](#d-on-databricks) is about its Databricks
backend, beside [ours](databricks.md), which no workspace of Databricks has seen yet. The numbers at the end of a row
are the tests that hold it; those in `tests/peers` give the same call to both programs and compare.

This file is generated from `tests/compatibility`, and a test fails if the two differ.
"""

_MEANINGS: Final = {
    Verdict.SAME: "What a project or a caller sees is the same",
    Verdict.PROMISED: "mlp does what MLflow's documentation says, MLflow does not",
    Verdict.FIXED: "MLflow crashes, loses something or does harm there",
    Verdict.OTHER: "Decided otherwise, for the reason given",
    Verdict.LEFT_OUT: "mlp does not do it, and says so",
}


def render() -> str:
    """The document."""
    counted = Counter(row.verdict for table in TABLES for row in table.rows)
    verdicts = [(f"**{verdict}**", meaning, str(counted[verdict])) for verdict, meaning in _MEANINGS.items()]
    parts = [_INTRODUCTION, *_lines(("Verdict", "Meaning", "Rows"), verdicts)]
    for table in TABLES:
        parts += ["", f"## {table.letter}. {table.title}", ""]
        parts += _lines(("Row", "What", f"MLflow {MLFLOW}", "mlp", "Verdict", "Tests"), map(_cells, table.rows))
    return "\n".join(parts) + "\n"


def node_ids(row: Row) -> list[str]:
    """The tests of a row as pytest names them."""
    return [f"tests/{test}" for test in row.tests]


def _cells(row: Row) -> tuple[str, ...]:
    return (row.id, row.about, row.mlflow, row.ours, f"**{row.verdict}**", " ".join(_links(row)))


def _links(row: Row) -> Iterator[str]:
    for number, node_id in enumerate(node_ids(row), start=1):
        path, _, name = node_id.partition("::")
        title = name.replace('"', "'").replace("\\", "/")
        yield f'[{number}](../{path} "{title}")'


def _lines(header: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> list[str]:
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]
