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


STARTED_BY = """Traceback (most recent call last):
  File "/databricks/launcher.py", line 50, in run_program
    exec(code)
  File "/Workspace/Users/ann@example.com/.mlp/bootstrap-0a1b.py", line 510, in <module>
    main(sys.argv[1:])
  File "/Workspace/Users/ann@example.com/.mlp/bootstrap-0a1b.py", line 400, in run_script
    runpy.run_path(script["name"], run_name="__main__")
  File "<frozen runpy>", line 291, in run_path
  File "/usr/lib/python3.10/runpy.py", line 86, in _run_code
"""
OF_PROJECT = """  File "train.py", line 4, in <module>
    train()
  File "<frozen runpy>", line 291, in run_path
  File "train.py", line 2, in train
    raise ValueError("no such wine")
ValueError: no such wine"""
CAUSE = """Traceback (most recent call last):
  File "train.py", line 1, in find
    {}["wine"]
KeyError: 'wine'

During handling of the above exception, another exception occurred:

"""


@pytest.mark.parametrize("before", ["", CAUSE], ids=["alone", "with a cause"])
def test_of_a_script_within_the_driver_the_trace_begins_in_the_project(before):
    output = Output("a", "ValueError: no such wine", before + STARTED_BY + OF_PROJECT)

    trace = f"{before}Traceback (most recent call last):\n{OF_PROJECT}"
    assert list(output.lines()) == ["a", "Error: ValueError: no such wine", *trace.splitlines()]


def test_a_trace_without_a_frame_of_the_project_stays_as_it_is():
    trace = f"{STARTED_BY}FileNotFoundError: train.py"

    assert Output(error="FileNotFoundError: train.py", trace=trace).place == trace


def test_a_command_that_failed_is_told_in_a_line_without_the_program_that_started_it():
    output = Output("a\n", "RunFailed: EntryPointFailed: entry point main ended with exit status 3", STARTED_BY)

    assert list(output.lines()) == ["a", "Error: entry point main ended with exit status 3"]
    assert list(output.lines(page_url=PAGE))[2:] == [f"See {PAGE}"]


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
