"""A directory of scripts is a project too: each parameter arrives as ``--name value``."""

from __future__ import annotations

import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--name", default="world")
parser.add_argument("--times", type=int, default=1)
arguments = parser.parse_args()

for _ in range(arguments.times):
    print(f"Hello, {arguments.name}!")
