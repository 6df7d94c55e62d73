"""Values that remember where they stand in a file, so that every complaint can name file, line and column.

How a text becomes such values is `mlp.project.mlproject`'s business; what the keys mean is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from mlp.errors import ProjectInvalid
from mlp.project.suggestion import nearest, shortened

if TYPE_CHECKING:
    import collections.abc
    from collections.abc import Collection, Iterator, Sequence

    from mlp.project.problems import Findings

__all__ = ["Mapping", "Position", "Value"]

_MERGE: Final = "tag:yaml.org,2002:merge"


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


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a file: what it is, how it was written and where it stands."""

    position: Position
    data: object
    _node: yaml.Node
    _made: collections.abc.Mapping[yaml.Node, object]

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

    def place(self, path: Sequence[str | int]) -> Position:
        """Where a field stands, or the last of its parents if there is no such field.

        Args:
            path: Keys and indexes that lead to it.
        """
        node, position = self._node, self.position
        for part in path:
            if isinstance(node, yaml.MappingNode):
                pairs = [pair for pair in node.value if self._made.get(pair[0]) == part]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                pairs = [(item, item) for item in node.value[part : part + 1]]
            else:
                break
            if not pairs:
                break
            key, node = pairs[-1]
            position = self._position(key)
        return position

    def repeated_keys(self) -> Iterator[tuple[str, Position]]:
        """Keys that stand a second time in their mapping, however deep, and where they do."""
        waiting, seen = [self._node], set()
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            if isinstance(node, yaml.SequenceNode):
                waiting += node.value
            elif isinstance(node, yaml.MappingNode):
                keys = set()
                for key, value in node.value:
                    waiting.append(value)
                    if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE and key.value in keys:
                        yield key.value, self._position(key)
                    keys.add(key.value if isinstance(key, yaml.ScalarNode) else None)

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
        return Value(self._position(node), self._made.get(node), node, self._made)

    def _position(self, node: yaml.Node) -> Position:
        return Position(self.position.file, node.start_mark.line + 1, node.start_mark.column + 1)


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
