"""Write a table: x, and a line through x with noise."""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path

SLOPE, INTERCEPT = 2.0, -1.0

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, required=True)
parser.add_argument("--noise", type=float, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--output", type=Path, required=True)
arguments = parser.parse_args()

draw = random.Random(arguments.seed)  # noqa: S311 -- numbers to learn from, not secrets
with arguments.output.open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["x", "y"])
    for _ in range(arguments.rows):
        x = draw.uniform(0, 10)
        table.writerow([x, SLOPE * x + INTERCEPT + draw.gauss(0, arguments.noise)])
print(f"prepared {arguments.rows} rows")
