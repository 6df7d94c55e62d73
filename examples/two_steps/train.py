"""Fit a line to a table by least squares; fail if it is far from the line that made the table."""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--tolerance", type=float, required=True)
parser.add_argument("data", type=Path)
arguments = parser.parse_args()

with arguments.data.open(newline="") as file:
    rows = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
slope, intercept = statistics.linear_regression(*zip(*rows, strict=True))
print(json.dumps({"rows": len(rows), "slope": round(slope, 3), "intercept": round(intercept, 3)}))
if abs(slope - 2) > arguments.tolerance:
    sys.exit(f"the slope should be 2 within {arguments.tolerance}")
