"""Load, transform, train: each step is a run of its own, and finds what it needs by the run that has made it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import mlflow

import mlp

PROJECT = Path(__file__).parent


def step(entry_point: str, *, reuse: bool, **given: object) -> str:
    """The ID of a run of the step: of a new one, or of one that has done the same before."""
    parameters = {name: str(value) for name, value in given.items()}
    if reuse and (before := find(entry_point, parameters)):
        print(f"{entry_point}: run {before} has done that")
        return before
    run = mlp.run(PROJECT, entry_point, parameters=parameters)
    print(f"{entry_point}: run {run.run_id}")
    return run.run_id


def find(entry_point: str, parameters: dict[str, str]) -> str | None:
    """A run that has finished, of the same commit, entry point and parameters."""
    own = mlp.tracking.get_run(os.environ["MLFLOW_RUN_ID"])
    if (commit := own.data.tags.get("mlflow.source.git.commit")) is None:
        return None
    finished = mlp.tracking.search_runs(
        [own.info.experiment_id],
        f"attributes.status = 'FINISHED' and tags.`mlflow.source.git.commit` = '{commit}' "
        f"and tags.`mlflow.project.entryPoint` = '{entry_point}' and tags.`mlp.project.name` = 'pipeline'",
    )
    return next((run.info.run_id for run in finished if run.data.params == parameters), None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--test-share", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--alpha", required=True)
    parser.add_argument("--reuse", choices=("yes", "no"), required=True)
    given = parser.parse_args()
    reuse = given.reuse == "yes"

    loaded = step("load", reuse=reuse, rows=given.rows)
    transformed = step(
        "transform", reuse=reuse, table=f"runs:/{loaded}/table.csv", test_share=given.test_share, seed=given.seed
    )
    trained = step("train", reuse=reuse, features=f"runs:/{transformed}/features", alpha=given.alpha)

    with mlflow.start_run():
        mlflow.log_metrics(dict(mlp.tracking.get_run(trained).data.metrics))
        mlflow.set_tag("model", f"runs:/{trained}/model.json")


if __name__ == "__main__":
    main()
