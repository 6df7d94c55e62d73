"""`python -m bench [NAME …] [--json FILE]`: measure, print tables, store JSON on request."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

from bench.figures import FIGURES
from bench.results import machine, render
from tests.cluster.packages import Missing


def main() -> int:
    """Measure the figures that were asked for.

    Exit status 1 where a figure doubts itself, or was asked for by name and cannot be measured here.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure mlp; see docs/performance.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)}; without any: all of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything, unrounded, into this file too")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(FIGURES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    # What runs is ended in `finally` blocks and by context managers, which a plain SIGTERM would skip.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    here = machine()
    print(
        f"{here['cores']} cores ({here['processor']}), {here['system']}, Python {here['python']}, "
        f"load {here['load']} at the beginning\n",
        flush=True,
    )
    figures, doubtful = {}, False
    for name in arguments.names or FIGURES:
        started = time.monotonic()
        try:
            result = import_module(f"bench.figures.{name}").measure()
        except Missing as missing:
            print(f"({name} is not measured here: {missing})\n", flush=True)
            figures[name] = {"missing": str(missing)}
            doubtful = doubtful or name in arguments.names
            continue
        print(f"{render(result)}({name}: {time.monotonic() - started:.0f} s)\n", flush=True)
        figures[name] = result.to_json()
        doubtful = doubtful or bool(result.complaints)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": here, "figures": figures}, indent=2) + "\n")
    return 1 if doubtful else 0


if __name__ == "__main__":
    sys.exit(main())
