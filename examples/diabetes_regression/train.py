"""Predict how diabetes progresses within a year (442 patients, ten measurements, shipped with scikit-learn)."""

from __future__ import annotations

import argparse
import json
import os
from importlib.util import find_spec

from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float, required=True)
    parser.add_argument("--l1-ratio", type=float, required=True)
    parser.add_argument("--test-share", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    return parser.parse_args()


def train(arguments: argparse.Namespace) -> dict[str, float]:
    features, progression = load_diabetes(return_X_y=True, scaled=False)
    train_x, test_x, train_y, test_y = train_test_split(
        features, progression, test_size=arguments.test_share, random_state=arguments.seed
    )
    model = ElasticNet(alpha=arguments.alpha, l1_ratio=arguments.l1_ratio, random_state=arguments.seed)
    predicted = model.fit(train_x, train_y).predict(test_x)
    return {
        "rmse": root_mean_squared_error(test_y, predicted),
        "mae": mean_absolute_error(test_y, predicted),
        "r2": r2_score(test_y, predicted),
    }


def record(parameters: dict[str, float], metrics: dict[str, float]) -> None:
    print(json.dumps({"parameters": parameters, "metrics": {name: round(value, 4) for name, value in metrics.items()}}))
    # Without a tracking server MLflow would write its files into the project's directory.
    if "MLFLOW_TRACKING_URI" not in os.environ or find_spec("mlflow") is None:
        return
    import mlflow  # noqa: PLC0415 -- the project runs without it too

    with mlflow.start_run():
        mlflow.log_params(parameters)
        mlflow.log_metrics(metrics)


if __name__ == "__main__":
    given = parse()
    record(vars(given), train(given))
