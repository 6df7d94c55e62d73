"""Which step wrote a line, and which lines are the last."""

from __future__ import annotations

import pytest

from mlp.backends.kubernetes.log_lines import LogLine, Writer, last_of_each_step

ONE_AFTER_THE_OTHER = [
    ("=== Step clone ===", "clone", "=== Step clone ==="),
    ("Fetched commit 0123", "clone", "Fetched commit 0123"),
    ("=== Step environment ===", "environment", "=== Step environment ==="),
    ("Environment: Solving", "environment", "Environment: Solving"),
    ("=== Step of nobody ===", "environment", "=== Step of nobody ==="),
]
SIDE_BY_SIDE = [
    ("Fetched commit 0123", "clone", "Fetched commit 0123"),
    ("[data] === Step data ===", "data", "=== Step data ==="),
    ("[environment] === Step environment ===", "environment", "=== Step environment ==="),
    ("[data] half", "data", "half"),
    ("[environment]", "environment", ""),
    ("[gpu] is no step", "clone", "[gpu] is no step"),
]


@pytest.mark.parametrize(
    ("container", "lines"),
    [
        ("prepare", ONE_AFTER_THE_OTHER),
        ("fetch", ONE_AFTER_THE_OTHER),
        ("prepare", SIDE_BY_SIDE),
        ("environment", [("anything", "environment", "anything")]),
        # What a project or a container of the user's writes is never taken for more than it is.
        ("main", [("=== Step data ===", "main", "=== Step data ==="), ("[data] x", "main", "[data] x")]),
        ("sidecar", [("=== Step data ===", "", "=== Step data ==="), ("[data] x", "", "[data] x")]),
    ],
)
def test_each_line_belongs_to_the_step_that_wrote_it(container, lines):
    writer = Writer(container)

    assert [writer.read(line) for line, _, _ in lines] == [(step, text) for _, step, text in lines]


@pytest.mark.parametrize(
    ("line", "text", "marked"),
    [
        (LogLine("main", "trained", "main"), "trained", "[main] trained"),
        (LogLine("prepare", "half", "data"), "[data] half", "[data] half"),
        (LogLine("sidecar", "up", ""), "[sidecar] up", "[sidecar] up"),
    ],
)
def test_a_line_is_marked_with_what_wrote_it_unless_that_is_main(line, text, marked):
    assert (str(line), line.marked) == (text, marked)


@pytest.mark.parametrize(("count", "kept"), [(0, ""), (1, "ce"), (2, "acde"), (9, "abcde")])
def test_the_last_lines_are_counted_for_each_step(count, kept):
    steps = {"a": "clone", "b": "data", "c": "clone", "d": "data", "e": "data"}
    lines = [LogLine("prepare", text, step) for text, step in steps.items()]

    assert "".join(line.text for line in last_of_each_step(lines, count)) == kept
