"""Split a table into folds; each fold is tested once on what the others have taught."""

from __future__ import annotations

import argparse
import io

import mlflow
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

parser = argparse.ArgumentParser()
parser.add_argument("--folds", type=int, required=True)
parser.add_argument("--seed", type=int, required=True)
arguments = parser.parse_args()

table = np.column_stack(load_diabetes(return_X_y=True))
folds = KFold(arguments.folds, shuffle=True, random_state=arguments.seed)

with mlflow.start_run():
    for number, rows in enumerate(folds.split(table)):
        for name, chosen in zip(("train", "test"), rows, strict=True):
            text = io.StringIO()
            np.savetxt(text, table[chosen], delimiter=",")
            mlflow.log_text(text.getvalue(), f"fold-{number}/{name}.csv")
