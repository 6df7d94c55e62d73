"""YAML text to values that remember where they stand, so that every complaint can name file, line and column.

The values are exactly those of ``yaml.safe_load`` (YAML 1.1: ``yes`` is true, ``010`` is 8, ``1:30`` is 90), because
they end up in commands and MLflow reads the file that way. What the keys mean is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from mlp.errors import ProjectInvalid
from mlp.project.suggestion import nearest, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlp.project.problems import Findings

__all__ = ["Position", "Value", "parse"]

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


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def invalid(self, message: str) -> ProjectInvalid:
        """The error that says this about this place."""
        return ProjectInvalid(message, file=self.file, line=self.line, column=self.column)

    def warn(self, message: str, findings: Findings) -> None:
        """Note a warning about this place."""
        findings.warn(message, file=self.file, line=self.line, column=self.column)


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


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a file: what it is, how it was written and where it stands."""

    position: Position
    data: object
    _node: yaml.Node
    _loader: _Loader

    @property
    def text(self) -> str | None:
        """The value as it was written, without quotes; None unless it is a scalar."""
        return self._node.value if isinstance(self._node, yaml.ScalarNode) else None

    @property
    def empty(self) -> bool:
        """Whether there is nothing: null, or no value at all."""
        return self.data is None

    @property
    def kind(self) -> str:
        """What it is, in words for a message."""
        names: dict[type, str] = {
            type(None): "empty",
            str: "a text",
            bool: "a boolean",
            int: "a number",
            float: "a number",
            list: "a list",
            dict: "a mapping",
        }
        return names.get(type(self.data), f"a {type(self.data).__name__}")

    def invalid(self, message: str) -> ProjectInvalid:
        """The error that says this about this value."""
        return self.position.invalid(message)

    def no_text(self, what: str) -> ProjectInvalid:
        """The error that says that this should be a text.

        Args:
            what: What the value is, as the subject of the message.
        """
        quotes = "" if self.empty or self.text is None else f"; put {shortened(self.text)} in quotes"
        return self.invalid(f"{what} is {self.kind}, but it must be a text{quotes}.")

    def items(self) -> Iterator[Value]:
        """The values of a list; nothing for anything else."""
        if isinstance(self._node, yaml.SequenceNode):
            yield from (self._value(node) for node in self._node.value)

    def mapping(self, what: str, *, wanted: str, findings: Findings) -> Mapping:
        """This value as a mapping with texts as keys.

        Args:
            what: What the value is, as the subject of a message.
            wanted: What it should be, as the message's advice.
            findings: Where keys that are no texts, or given twice, are noted.

        Raises:
            ProjectInvalid: It is something else.
        """
        if not isinstance(self._node, yaml.MappingNode) or not isinstance(self.data, dict):
            raise self.invalid(f"{what} is {self.kind}, but it must be {wanted}.")
        entries: dict[str, Value] = {}
        keys: dict[str, Position] = {}
        for key_node, value_node in self._node.value:
            key = self._value(key_node)
            if not isinstance(key.data, str):
                findings.add(key.no_text(f"a key of {what}"))
                continue
            # A merge key (<<) puts the entries of another mapping, which stands further up, before our own.
            if key.data in entries and keys[key.data] >= self.position:
                key.position.warn(f"{key.data!r} is given twice in {what}; the last one counts.", findings)
            entries[key.data] = self._value(value_node)
            keys[key.data] = key.position
        return Mapping(what=what, position=self.position, entries=entries, keys=keys)

    def _value(self, node: yaml.Node) -> Value:
        position = Position(self.position.file, node.start_mark.line + 1, node.start_mark.column + 1)
        return Value(position, self._loader.made.get(node), node, self._loader)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping of a file: its values and the places of its keys.

    Attributes:
        what: What it is, as the subject of a message.
        position: Where it begins.
        entries: The values by key, in the order of the file.
        keys: Where each key stands.
    """

    what: str
    position: Position
    entries: dict[str, Value]
    keys: dict[str, Position]

    def given(self, key: str) -> Value | None:
        """The value of a key; None if the key is missing or its value is null."""
        value = self.entries.get(key)
        return None if value is None or value.empty else value

    def only(self, known: Collection[str], findings: Findings) -> None:
        """Look for keys that mean nothing.

        MLflow ignores them. A key that resembles a known one is a mistake which would be ignored silently, so it is an
        error here; any other may be a note of the author's and is worth a warning. What stands behind a misspelt key
        is then read as if it were spelt well, so that its own mistakes are found, and none that follows from it.
        """
        unknown = [key for key in self.entries if key not in known]
        # A key that stands beside the one it resembles is not a misspelling of it.
        absent = [name for name in known if name not in self.entries]
        for key in unknown:
            meant = nearest(key, absent)
            if meant is None:
                ignored = f"{shortened(key)!r} in {self.what} is ignored; the keys known are {', '.join(known)}."
                self.keys[key].warn(ignored, findings)
                continue
            findings.add(self.keys[key].invalid(f"{self.what} has no key {shortened(key)!r}. Did you mean {meant!r}?"))
            self.entries.setdefault(meant, self.entries[key])
            self.keys.setdefault(meant, self.keys[key])


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
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            node = yaml.ScalarNode("tag:yaml.org,2002:null", "", loader.get_mark(), loader.get_mark())
        _measure(file, node)
        data = loader.construct_document(node)
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        position = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise position.invalid(f"the character {chr(error.character)!r} is not allowed in YAML.") from error
    except yaml.MarkedYAMLError as error:
        raise _malformed(file, error) from error
    except RecursionError as error:
        raise ProjectInvalid(f"{file}: values are nested too deeply.") from error
    position = Position(file, node.start_mark.line + 1, node.start_mark.column + 1)
    return Value(position, data, node, loader)


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
