"""docs/workflows.md shows the examples as they are."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "workflows.md"
BLOCK = re.compile(r"^```(?:python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((\.\./examples/[^)]+)\)")
LEFT_OUT = "# …"


def excerpts():
    """Each block of code, and the file that the last link before it names."""
    text = DOCUMENT.read_text()
    for block in BLOCK.finditer(text):
        file = LINK.findall(text[: block.start()])[-1]
        yield pytest.param(block[1], (DOCUMENT.parent / file).resolve(), id=block[1].split("\n")[0].strip())


def pieces(block: str) -> list[str]:
    """The lines that stand together in a block."""
    return ["\n".join(lines) for lines in _runs(textwrap.dedent(block).splitlines())]


def _runs(lines: list[str]) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == LEFT_OUT:
            runs.append([])
        else:
            runs[-1].append(line)
    return [run for run in runs if run]


def dedented_like(text: str, first: str) -> str:
    """A file's lines from where this one stands, moved as far to the left as it is in a block."""
    lines = text.splitlines()
    number = next((number for number, line in enumerate(lines) if line.strip() == first.strip()), None)
    assert number is not None, f"there is no line {first!r}"
    away = len(lines[number]) - len(first)
    return "\n".join(line[away:] if line[:away].isspace() or not away else line for line in lines[number:])


@pytest.mark.parametrize(("block", "file"), list(excerpts()))
def test_what_is_shown_stands_in_the_example(block, file):
    for piece in pieces(block):
        first = piece.split("\n")[0]
        assert dedented_like(file.read_text(), first).startswith(piece), piece


def test_every_example_is_shown():
    shown = {excerpt.values[1].relative_to(ROOT / "examples").parts[0] for excerpt in excerpts()}
    workflows = {
        file.parent.name for file in (ROOT / "examples").glob("*/MLproject") if "import mlp" in _code(file.parent)
    }

    assert shown == workflows


def _code(project: Path) -> str:
    return "\n".join(file.read_text() for file in project.glob("*.py"))
