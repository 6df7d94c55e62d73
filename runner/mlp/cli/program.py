"""What the program is called: ``mlp``, or ``kubectl mlp`` for whoever calls it as kubectl's plugin.

Everything that tells a user what to type passes through here, so that it can be copied as it stands.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["program_name", "speak_as_plugin", "worded"]

_PLUGIN: Final = "kubectl-mlp"


def program_name() -> str:
    """The program as the user has called it."""
    # pathlib would cost its import in every call.
    return "kubectl mlp" if os.path.basename(sys.argv[0]) == _PLUGIN else "mlp"  # noqa: PTH119


def worded(text: str, commands: Iterable[str]) -> str:
    """A text that speaks of ``mlp COMMAND``, with the program's name as the user has called it."""
    called = program_name()
    if called == "mlp":
        return text
    names = "|".join(map(re.escape, commands))
    return re.sub(rf"(?<![\w./-])(?<!kubectl )mlp(?= (?:{names}|COMMAND)\b)", called, text)


def speak_as_plugin(commands: Iterable[str]) -> None:
    """Have Click's help speak of ``kubectl mlp``, where the user has called it so. For this process, from now on."""
    if program_name() == "mlp":
        return
    names = tuple(commands)

    class Formatter(click.HelpFormatter):
        def getvalue(self) -> str:
            return worded(super().getvalue(), names)

    click.Context.formatter_class = Formatter
