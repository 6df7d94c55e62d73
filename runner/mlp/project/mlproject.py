"""YAML text to values that remember where they stand, so that every complaint can name file, line and column.

The values are exactly those of ``yaml.safe_load`` (YAML 1.1: ``yes`` is true, ``010`` is 8, ``1:30`` is 90), because
they end up in commands and MLflow reads the file that way. What the keys mean is not known here.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import yaml

from mlp.errors import ProjectInvalid
from mlp.project.values import Position, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["parse", "parse_documents"]

# The operator reads files of strangers: a parser in Python takes seconds for a megabyte, and a few aliases of aliases
# (the "billion laughs") are gigabytes once they are written out.
_LONGEST_TEXT: Final = 256 * 1024
_LARGEST_VALUE: Final = 4 * _LONGEST_TEXT

_HINTS: Final = {
    "mapping values are not allowed here": "a text that contains ': ' has to be in quotes",
    "expected <block end>, but found '<scalar>'": "a text that begins with a quote or a brace has to be quoted whole",
    "found character '\\t' that cannot start any token": "YAML is indented with spaces, not with tabs",
    "expected a single document in the stream": "the file must not contain '---' twice",
}


class _Loader(yaml.SafeLoader):
    """SafeLoader that keeps what it made of every node, and whose every failure has a place."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.made: dict[yaml.Node, object] = {}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002 -- PyYAML's signature
        try:
            made: object = super().construct_object(node, deep=deep)
        except (ValueError, KeyError, AttributeError, TypeError, IndexError, OverflowError) as error:
            # What safe_load lets through raw: 2020-13-45, 0x_, !!bool perhaps, an integer of 5,000 digits.
            written = node.value if isinstance(node, yaml.ScalarNode) else "this"
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{written!r} is not a valid {kind}; put it in quotes if it is a text", node.start_mark
            ) from error
        self.made[node] = made
        return made


def parse(file: str, text: str) -> Value:
    """Read a YAML file.

    Args:
        file: Its name, for messages.
        text: Its content.

    Returns:
        The document's value; a file without any content is null.

    Raises:
        ProjectInvalid: It is not YAML, holds tags that only mean something to Python, or is absurdly large.
    """
    if len(text) > _LONGEST_TEXT:
        raise ProjectInvalid(f"{file} is {len(text)} characters long; more than {_LONGEST_TEXT} are not read.")
    with _placed(file, text):
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            node = yaml.ScalarNode("tag:yaml.org,2002:null", "", loader.get_mark(), loader.get_mark())
        return _constructed(file, node, loader)


def parse_documents(file: str, text: str) -> tuple[Value, ...]:
    """Read a YAML file of several documents, however long.

    Args:
        file: Its name, for messages.
        text: Its content.

    Returns:
        The documents' values, without those that are empty.

    Raises:
        ProjectInvalid: As for `parse`, about any of them.
    """
    documents: list[Value] = []
    with _placed(file, text):
        loader = _Loader(text)
        while loader.check_node() and (node := loader.get_node()) is not None:
            documents.append(_constructed(file, node, loader))
    return tuple(document for document in documents if not document.empty)


def _constructed(file: str, node: yaml.Node, loader: _Loader) -> Value:
    _measure(file, node)
    data = loader.construct_document(node)
    return Value(Position(file, node.start_mark.line + 1, node.start_mark.column + 1), data, node, loader.made)


@contextmanager
def _placed(file: str, text: str) -> Iterator[None]:
    """Give the errors of PyYAML their place in a file, and words for people."""
    try:
        yield
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        position = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise position.invalid(f"the character {chr(error.character)!r} is not allowed in YAML.") from error
    except yaml.MarkedYAMLError as error:
        raise _malformed(file, error) from error
    except RecursionError as error:
        raise ProjectInvalid(f"{file}: values are nested too deeply.") from error


def _beginning(error: yaml.MarkedYAMLError) -> str:
    """Where the thing that was being read began, if on an earlier line: that of a quote without its end, say."""
    first, last = error.context_mark, error.problem_mark
    if not (first and last and first.line < last.line and str(error.context).startswith("while ")):
        return ""
    return f" that begins at {first.line + 1}:{first.column + 1}"


def _malformed(file: str, error: yaml.MarkedYAMLError) -> ProjectInvalid:
    problem = str(error.problem or error.context or "malformed")
    sentence = f"{error.context}{_beginning(error)}: {problem}" if error.context and error.problem else problem
    hint = next((f" ({advice})" for start, advice in _HINTS.items() if problem.startswith(start)), "")
    message = f"not readable as YAML: {sentence}{hint}."
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ProjectInvalid(f"{file}: {message}")
    return Position(file, mark.line + 1, mark.column + 1).invalid(message)


def _measure(file: str, root: yaml.Node) -> None:
    """Refuse values that contain themselves, and aliases that would grow beyond measure once written out."""
    sizes: dict[yaml.Node, int] = {}
    open_nodes: set[yaml.Node] = set()

    def measure(node: yaml.Node) -> int:
        position = Position(file, node.start_mark.line + 1, node.start_mark.column + 1)
        if node in open_nodes:
            raise position.invalid("a value must not contain itself.")
        if node not in sizes:
            open_nodes.add(node)
            children: list[yaml.Node] = []
            own = 1
            if isinstance(node, yaml.ScalarNode):
                own += len(node.value)
            elif isinstance(node, yaml.SequenceNode):
                children = node.value
            elif isinstance(node, yaml.MappingNode):
                children = [child for pair in node.value for child in pair]
            sizes[node] = own + sum(map(measure, children))
            open_nodes.discard(node)
        if sizes[node] > _LARGEST_VALUE:
            raise position.invalid("aliases make this value too large.")
        return sizes[node]

    measure(root)
