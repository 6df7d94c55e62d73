"""Split a table by rows, and scale its features by what the training part shows."""

from __future__ import annotations

import argparse
import io

import mlflow
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--test-share", type=float, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("table")
arguments = parser.parse_args()

table = np.loadtxt(arguments.table, delimiter=",", skiprows=1)
np.random.default_rng(arguments.seed).shuffle(table)
tested = round(len(table) * arguments.test_share)
parts = {"test": table[:tested], "train": table[tested:]}
mean, deviation = (moment(parts["train"][:, :-1], axis=0) for moment in (np.mean, np.std))

with mlflow.start_run():
    for name, part in parts.items():
        scaled = np.column_stack([(part[:, :-1] - mean) / deviation, part[:, -1]])
        text = io.StringIO()
        np.savetxt(text, scaled, delimiter=",")
        mlflow.log_text(text.getvalue(), f"features/{name}.csv")
        mlflow.log_metric(f"{name}_rows", len(part))
