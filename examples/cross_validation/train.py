"""Fit a linear model, and measure it on what it has not seen: a share drawn by chance, or the test part of a fold."""

from __future__ import annotations

import argparse
from pathlib import Path

import mlflow
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, required=True)
split = parser.add_mutually_exclusive_group(required=True)
split.add_argument("--seed", type=int)
split.add_argument("--fold", type=Path)
arguments = parser.parse_args()

if arguments.fold is None:
    table = np.column_stack(load_diabetes(return_X_y=True))
    train, test = train_test_split(table, random_state=arguments.seed)
else:
    train, test = (np.loadtxt(arguments.fold / f"{name}.csv", delimiter=",") for name in ("train", "test"))
model = Ridge(arguments.alpha).fit(train[:, :-1], train[:, -1])

with mlflow.start_run():
    mlflow.log_metric("rmse", root_mean_squared_error(test[:, -1], model.predict(test[:, :-1])))
