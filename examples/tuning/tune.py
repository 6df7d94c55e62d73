"""Try learning rates side by side, end those that fall behind, and say which run is the best."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import mlp

PROJECT = Path(__file__).parent
EPOCHS_TO_SHOW_SOMETHING = 5
BETWEEN_LOOKS = 0.3


def errors_so_far(run: mlp.SubmittedRun) -> list[float]:
    return [metric.value for metric in mlp.tracking.get_metric_history(run.run_id, "rmse")]


def falls_behind(errors: list[float], others: list[list[float]], tolerance: float) -> bool:
    """Whether another run was clearly better when it had trained as long."""
    epochs = len(errors)
    if epochs < EPOCHS_TO_SHOW_SOMETHING:
        return False
    return any(min(errors) > tolerance * min(other[:epochs]) for other in others if other)


def train(rate: str, backend: str) -> mlp.SubmittedRun:
    return mlp.run(PROJECT, "train", parameters={"learning_rate": rate}, backend=backend, synchronous=False)


def tune(rates: list[str], parallel: int, tolerance: float, backend: str) -> None:
    waiting, running, started = list(rates), [], []
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                run = train(waiting.pop(0), backend)
                running.append(run)
                started.append(run)
            time.sleep(BETWEEN_LOOKS)
            errors = {run.run_id: errors_so_far(run) for run in started}
            for run in running:
                others = [errors[other.run_id] for other in started if other is not run]
                if falls_behind(errors[run.run_id], others, tolerance):
                    run.cancel()
            running = [run for run in running if run.get_status() in {"SCHEDULED", "RUNNING"}]
    finally:
        for run in running:
            run.cancel()


def best_of(parent: str) -> mlp.tracking.Run:
    found = mlp.tracking.search_runs(
        [mlp.tracking.get_run(parent).info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{parent}' and attributes.status = 'FINISHED'",
        order_by=["metrics.best_rmse ASC"],
        max_results=1,
    )
    return found[0] if found else sys.exit("No run has finished.")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning-rates", type=str.split, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--backend", required=True)
    given = parser.parse_args()

    tune(given.learning_rates, given.parallel, given.tolerance, given.backend)
    own = os.environ["MLFLOW_RUN_ID"]
    best = best_of(own)
    print(f"The best learning rate is {best.data.params['learning_rate']}: run {best.info.run_id}")
    mlp.tracking.log_metrics(own, {"best_rmse": best.data.metrics["best_rmse"]})
    rate = best.data.params["learning_rate"]
    mlp.tracking.set_tags(own, {"best_run": best.info.run_id, "best_learning_rate": rate})


if __name__ == "__main__":
    main()
