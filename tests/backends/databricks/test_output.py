"""What a run has left behind."""

from __future__ import annotations

import pytest

from mlp.backends.databricks.output import Output, output_of

PAGE = "https://workspace/#job/1/run/2"


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        ({}, Output()),
        ({"metadata": {}, "logs": "a\nb\n"}, Output("a\nb\n")),
        ({"logs": "a", "logs_truncated": False}, Output("a")),
        ({"logs": "a", "logs_truncated": True}, Output("a", truncated=True)),
        ({"logs": None, "error": "", "error_trace": None}, Output()),
        ({"logs": 3, "error": ["x"], "logs_truncated": "yes"}, Output()),
        (
            {"error": "RuntimeError: no", "error_trace": "\x1b[0;31mRuntimeError\x1b[0m: no\n"},
            Output(error="RuntimeError: no", trace="RuntimeError: no"),
        ),
        ({"logs": "half \ud83d of a character"}, Output("half ? of a character")),
    ],
)
def test_output_is_what_the_workspace_says_of_it(answer, output):
    assert output_of(answer) == output


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (Output(), []),
        (Output("a\nb\n"), ["a", "b"]),
        (Output("a", "it broke", "at 1\nat 2"), ["a", "Error: it broke", "at 1", "at 2", f"See {PAGE}"]),
        (Output("a", "it broke", "it broke"), ["a", "Error: it broke", f"See {PAGE}"]),
        (
            Output("a", truncated=True),
            ["[The beginning is missing: Databricks keeps the end of a log.]", "a", f"See {PAGE}"],
        ),
    ],
)
def test_a_reader_sees_the_log_the_error_and_where_there_is_more(output, lines):
    assert list(output.lines(page_url=PAGE)) == lines
    assert list(output.lines()) == [line for line in lines if line != f"See {PAGE}"]


@pytest.mark.parametrize(
    ("log", "longest", "kept", "is_cut"),
    [
        ("one\ntwo\n", 8, "one\ntwo\n", False),
        ("one\ntwo\n", 7, "two\n", True),
        ("one\ntwo\n", 4, "two\n", True),
        ("one\ntwo\n", 3, "wo\n", True),
        ("one\ntwo", 2, "wo", True),
        ("äöü", 5, "öü", True),
        ("äöü", 6, "äöü", False),
        ("äöü", 0, "", True),
    ],
)
def test_a_log_is_cut_at_its_beginning(log, longest, kept, is_cut):
    cut = Output(log, "it broke").tail(longest)
    assert (cut.log, cut.truncated, cut.error) == (kept, is_cut, "it broke")
    assert len(cut.log.encode()) <= longest
