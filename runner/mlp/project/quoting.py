"""In which quotes of a command a placeholder stands, as far as that can be told without being a shell.

Values are quoted before they are put in, so quotes of the author's around a placeholder undo what was meant; and a
reference to a variable has to be written otherwise inside of quotes than outside. Only bash's quoting is known here,
not its grammar: where that would be needed, the answer is that it is unknown.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

__all__ = ["Quoting", "Scanner"]


class Quoting(Enum):
    """How the shell reads a text that stands at some place."""

    NONE = auto()
    DOUBLE = auto()
    SINGLE = auto()
    UNKNOWN = auto()
    """In some other way: behind a backslash, in a here-document, inside of ``${…}`` or of backticks."""


_QUOTES: Final = {'"': Quoting.DOUBLE, "'": Quoting.SINGLE}
_OBSCURE: Final = frozenset(("`", "${", "$((", "$'"))
_COMMANDS: Final = frozenset(("", "(", "$("))
"""What holds commands: there a number sign begins a comment, and ``<<`` a here-document."""
_EXPANSIONS: Final = ("$((", "$(", "${", "$'")
_ENDS: Final = {"'": "'", "$'": "'", "#": "\n", '"': '"', "`": "`", "${": "}", "$((": "))", "$(": ")", "(": ")"}
_AHEAD_OF_A_WORD: Final = frozenset(" \t\n;&|()<>")


class Scanner:
    """Reads a command in pieces and tells how the shell reads on behind each.

    What stands between two pieces, a placeholder, is taken for a part of a word.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._before = "\n"
        self._bound = False
        self._lost = False

    @property
    def quoting(self) -> Quoting:
        """How the shell reads what stands here."""
        if self._lost or self._bound or not _OBSCURE.isdisjoint(self._open):
            return Quoting.UNKNOWN
        return _QUOTES.get(self._within, Quoting.NONE)

    def read(self, text: str) -> None:
        """Read the next piece."""
        if self._bound:
            self._bound, self._before = False, "x"
        position = 0
        while position < len(text):
            position += self._step(text, position)
            self._before = text[min(position, len(text)) - 1]

    @property
    def _within(self) -> str:
        return self._open[-1] if self._open else ""

    def _step(self, text: str, at: int) -> int:
        """Read one sign, or several that belong together; how many they were."""
        within, char = self._within, text[at]
        end = _ENDS.get(within)
        if end is not None and text.startswith(end, at):
            self._open.pop()
            return len(end)
        if within in ("'", "#"):
            return 1
        if char == "\\":
            self._bound = at + 1 == len(text)
            return 2
        if within == "$'":
            return 1
        if char == "$":
            self._bound = at + 1 == len(text)
            return self._expansion(text, at)
        if char == "`" or (char in _QUOTES and within != '"'):
            self._open.append(char)
        elif within in _COMMANDS or within == "$((":
            return self._in_a_command(text, at)
        return 1

    def _expansion(self, text: str, at: int) -> int:
        for kind in _EXPANSIONS:
            if text.startswith(kind, at) and not (kind == "$'" and self._within == '"'):
                self._open.append(kind)
                return len(kind)
        return 1

    def _in_a_command(self, text: str, at: int) -> int:
        if text[at] == "(":
            self._open.append("(")
        elif "$((" in self._open:
            # Nothing else of a command's signs means there what it means in one.
            return 1
        elif text[at] == "#" and self._before in _AHEAD_OF_A_WORD:
            self._open.append("#")
        elif text.startswith("<<<", at):
            return 3
        elif text.startswith("<<", at):
            # Its end is known only to the shell.
            self._lost = True
            return 2
        return 1
