"""docs/compatibility.md is what the rows say, every row of the comparison is there, and every test that it names is."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache

import pytest

from tests.compatibility.document import FILE_NAME, ROOT, TABLES, node_ids, render
from tests.compatibility.row import Verdict
from tests.peers.calls import CALLS

ROWS = [row for table in TABLES for row in table.rows]

# What MLflow Projects do, as it was measured, or read in the code for D (Databricks). C10 never was.
MEASURED = {
    *(f"F{number}" for number in range(1, 15)),
    *(f"P{number}" for number in range(1, 21)),
    *(f"C{number}" for number in (*range(1, 10), 11)),
    *(f"G{number}" for number in range(1, 17)),
    *(f"E{number}" for number in range(1, 17)),
    *(f"T{number}" for number in range(1, 15)),
    *(f"L{number}" for number in range(1, 13)),
    *(f"R{number}" for number in range(1, 11)),
    *(f"K{number}" for number in range(1, 29)),
    *(f"D{number}" for number in range(1, 14)),
}


@cache
def names_of(path):
    """The names of a module's tests, those in classes with the class's."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return {name for name in found if name.rpartition(":")[2].startswith("test_")}


def test_the_document_is_what_the_rows_say():
    said = (ROOT / FILE_NAME).read_text()

    assert said == render(), "Write it anew: python -m tests.compatibility"


def test_every_row_is_there_once():
    assert Counter(row.id for row in ROWS) == Counter(MEASURED)
    assert all(row.id.startswith(table.letter) for table in TABLES for row in table.rows)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_tests_of_a_row_exist(row):
    assert row.tests, "a row that no test holds"
    assert max(Counter(row.tests).values()) == 1
    for node_id in node_ids(row):
        path, _, name = node_id.partition("::")
        function, bracket, call = name.partition("[")
        assert (ROOT / path).exists(), path
        assert function in names_of(path), node_id
        if bracket:
            (found,) = [each for each in CALLS if each.name == call.removesuffix("]")]
            assert (found.difference is None) == (function == "test_we_do_what_mlflow_does"), node_id


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_can_be_read(row):
    for text in (row.about, row.mlflow, row.ours):
        assert text == text.strip()
        assert not text.endswith(".")
        assert text.count("`") % 2 == 0
    assert row.about
    assert row.mlflow
    assert row.ours


def test_every_difference_between_the_programs_is_in_a_row():
    """Nothing that tests/peers finds to be different goes without a word."""
    named = {match[1] for row in ROWS for test in row.tests if (match := re.search(r"\[(.*)\]$", test))}

    assert {call.name for call in CALLS if call.difference} <= named


def test_what_is_the_same_is_not_said_to_be_fixed():
    for row in ROWS:
        if row.ours == "The same":
            assert row.verdict is Verdict.SAME, row.id
