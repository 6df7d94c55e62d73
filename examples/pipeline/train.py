"""Fit a linear model to the training part, and measure it on the other."""

from __future__ import annotations

import argparse
from pathlib import Path

import mlflow
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, root_mean_squared_error

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, required=True)
parser.add_argument("features")
arguments = parser.parse_args()

directory = Path(mlflow.artifacts.download_artifacts(arguments.features))
train, test = (np.loadtxt(directory / f"{name}.csv", delimiter=",") for name in ("train", "test"))
model = Ridge(arguments.alpha).fit(train[:, :-1], train[:, -1])
predicted = model.predict(test[:, :-1])

with mlflow.start_run():
    mlflow.log_metric("rmse", root_mean_squared_error(test[:, -1], predicted))
    mlflow.log_metric("r2", r2_score(test[:, -1], predicted))
    mlflow.log_dict({"intercept": model.intercept_, "coefficients": model.coef_.tolist()}, "model.json")
