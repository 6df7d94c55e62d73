"""Train the same model on several splits of the data, side by side: what is its error, and how much is chance?"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import mlflow

import mlp

PROJECT = Path(__file__).parent


def by_seed(seeds: int, alpha: str) -> list[mlp.SubmittedRun]:
    return [
        mlp.run(PROJECT, "train", parameters={"alpha": alpha, "seed": seed}, synchronous=False) for seed in range(seeds)
    ]


def by_fold(folds: int, alpha: str) -> list[mlp.SubmittedRun]:
    split = mlp.run(PROJECT / "splitter", parameters={"folds": folds})
    made = sorted(entry.path for entry in mlp.tracking.list_artifacts(split.run_id) if entry.is_dir)
    return [
        mlp.run(
            PROJECT,
            "train_on_fold",
            parameters={"alpha": alpha, "fold": f"runs:/{split.run_id}/{fold}"},
            synchronous=False,
        )
        for fold in made
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", required=True)
    split = parser.add_mutually_exclusive_group(required=True)
    split.add_argument("--seeds", type=int)
    split.add_argument("--folds", type=int)
    given = parser.parse_args()

    runs = by_fold(given.folds, given.alpha) if given.seeds is None else by_seed(given.seeds, given.alpha)
    if failed := [run for run in runs if not run.wait()]:
        sys.exit("\n".join(line for run in failed for line in (f"Run {run.run_id} failed:", *run.logs())))
    errors = [mlp.tracking.get_run(run.run_id).data.metrics["rmse"] for run in runs]
    mean, deviation = statistics.mean(errors), statistics.stdev(errors)
    print(f"rmse {mean:.2f} ± {deviation:.2f} in {len(runs)} runs")
    with mlflow.start_run():
        mlflow.log_metrics({"rmse_mean": mean, "rmse_std": deviation})


if __name__ == "__main__":
    main()
