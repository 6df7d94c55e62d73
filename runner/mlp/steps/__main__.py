"""The command line of the steps: their names, and for tests another root than ``/``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from mlp.steps.execution import STEPS, run_steps
from mlp.steps.layout import Layout


def main() -> int:
    """Run the steps that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m mlp.steps", description="Prepare a run inside its pod.")
    parser.add_argument("steps", nargs="+", metavar="STEP", help=f"one of: {', '.join(STEPS)}")
    parser.add_argument("--root", type=Path, help="the directory that stands for / (default: the pod's own paths)")
    arguments = parser.parse_args()
    # Container main may run as another user of the same group.
    os.umask(0o002)
    # What the libraries say (a broken stream, a warning about a file) belongs to the container's log.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
    logging.getLogger("mlp").setLevel(logging.INFO)
    return run_steps(arguments.steps, Layout() if arguments.root is None else Layout.under(arguments.root.absolute()))


if __name__ == "__main__":
    sys.exit(main())
