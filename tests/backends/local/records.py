"""What an MLflow server has of a run, asked over HTTP without any client of ours."""

from __future__ import annotations

from dataclasses import dataclass

import requests


@dataclass(frozen=True)
class Record:
    """A run as the server shows it."""

    status: str
    name: str
    ended: bool
    experiment: str
    parameters: dict[str, str]
    tags: dict[str, str]


def record(uri: str, run_id: str) -> Record:
    answer = requests.get(f"{uri}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=60)
    answer.raise_for_status()
    return _record(answer.json()["run"])


def records(uri: str, experiment: str) -> list[Record]:
    """All runs of an experiment, the last first; none where there is no such experiment."""
    named = {"experiment_name": experiment}
    found = requests.get(f"{uri}/api/2.0/mlflow/experiments/get-by-name", params=named, timeout=60)
    if found.status_code == 404:
        return []
    query = {"experiment_ids": [found.json()["experiment"]["experiment_id"]], "max_results": 100}
    answer = requests.post(f"{uri}/api/2.0/mlflow/runs/search", json=query, timeout=60)
    answer.raise_for_status()
    return [_record(run) for run in answer.json().get("runs", [])]


def _record(run: dict) -> Record:
    info, data = run["info"], run["data"]
    return Record(
        status=info["status"],
        name=info.get("run_name", ""),
        ended=bool(info.get("end_time")),
        experiment=info["experiment_id"],
        parameters={each["key"]: each["value"] for each in data.get("params", [])},
        tags={each["key"]: each["value"] for each in data.get("tags", [])},
    )
