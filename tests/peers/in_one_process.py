"""Calls a command-line program many times in one process: importing MLflow takes seconds.

A program of its own: ``python in_one_process.py mlflow|mlp``. A line of JSON on standard input is one call
(``arguments``, ``directory``, ``variables``), a line on standard output its exit status. Whatever the calls print, and
the commands that they start, goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = {"mlflow": ("mlflow.cli", "cli"), "mlp": ("mlp.cli", "main")}


def status_of(program: Callable[[list[str]], object], arguments: list[str]) -> int:
    try:
        program(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 -- what a program does not catch is its status 1, as in a process of its own
        traceback.print_exc()
        return 1
    return 0


def main(name: str) -> None:
    # The commands must neither read the calls nor write among the answers.
    calls = os.fdopen(os.dup(0))
    answers = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    module, attribute = PROGRAMS[name]
    program = getattr(importlib.import_module(module), attribute)
    for line in calls:
        call = json.loads(line)
        print(f"--- {call['arguments']}", file=sys.stderr, flush=True)
        os.chdir(call["directory"])
        os.environ.update(call["variables"])
        print(json.dumps(status_of(program, call["arguments"])), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
