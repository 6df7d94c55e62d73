"""Predict how diabetes progresses, by stochastic gradient descent that stops when it gets no better."""

from __future__ import annotations

import argparse

import mlflow
from sklearn.datasets import load_diabetes
from sklearn.linear_model import SGDRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

PATIENCE = 5

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--seed", type=int, required=True)
arguments = parser.parse_args()

features, target = load_diabetes(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(scale(features), scale(target), random_state=arguments.seed)
model = SGDRegressor(learning_rate="constant", eta0=arguments.learning_rate, random_state=arguments.seed)

with mlflow.start_run():
    errors: list[float] = []
    while len(errors) <= PATIENCE or min(errors[-PATIENCE:]) < min(errors[:-PATIENCE]):
        model.partial_fit(train_x, train_y)
        errors.append(float(root_mean_squared_error(test_y, model.predict(test_x))))
        mlflow.log_metric("rmse", errors[-1], step=len(errors))
    mlflow.log_metric("best_rmse", min(errors))
