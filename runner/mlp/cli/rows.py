"""A run as a line of a table, with the columns that ``kubectl get`` has. Pure: plain objects in, text out."""

from __future__ import annotations

from typing import Any

from mlp.cli.output import age

__all__ = ["header", "row"]

Object = dict[str, Any]


def header(*, wide: bool = False, namespaces: bool = False) -> list[str]:
    """The columns' names."""
    names = ["NAME", "PHASE", "REASON", "ENTRY", "BACKEND", "AGE"]
    if namespaces:
        names.insert(0, "NAMESPACE")
    return names + ["PROJECT", "COMMIT", "ATTEMPTS", "JOB", "DATABRICKS", "MLFLOW", "STARTED", "FINISHED"] * wide


def row(run: Object, *, wide: bool = False, namespaces: bool = False) -> list[str]:
    """A run's cells. An object of another version may lack what ours would have."""
    metadata, spec, status = run["metadata"], run["spec"], run.get("status", {})
    reason = next((c["reason"] for c in status.get("conditions", ()) if c["type"] == "Succeeded"), "")
    cells = [
        metadata["name"],
        status.get("phase", ""),
        reason,
        spec["project"].get("entryPoint", ""),
        spec.get("backend", {}).get("type", ""),
        age(metadata["creationTimestamp"]),
    ]
    if namespaces:
        cells.insert(0, metadata["namespace"])
    if wide:
        cells += [
            status.get("project", {}).get("name", ""),
            status.get("source", {}).get("commit", "")[:12],
            str(status.get("attempts", "")),
            status.get("kubernetes", {}).get("jobName", ""),
            status.get("databricks", {}).get("runId", ""),
            status.get("mlflow", {}).get("runId", ""),
            age(status.get("startTime")),
            age(status.get("completionTime")),
        ]
    return cells
