"""What a tracking store tells of runs, in MLflow's words: `Run` with `.info` and `.data`, `Metric`, `FileInfo`.

A driver program that was written against MLflow's client reads the same attributes here. Plain values; nothing here
knows where they come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAILED", "FINISHED", "KILLED", "RUNNING", "TERMINAL", "FileInfo", "Metric", "Run", "RunData", "RunInfo"]

RUNNING: Final = "RUNNING"
FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"
KILLED: Final = "KILLED"
TERMINAL: Final = frozenset({FINISHED, FAILED, KILLED})
"""The states that a run does not leave."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a metric. The timestamp is in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or a directory among a run's artifacts; the path is relative to the run's root."""

    path: str
    is_dir: bool
    file_size: int | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a store knows of a run itself. Times are in milliseconds since 1970."""

    run_id: str
    run_name: str
    experiment_id: str
    status: str
    start_time: int | None
    end_time: int | None
    artifact_uri: str
    lifecycle_stage: str = "active"


@dataclass(frozen=True, slots=True)
class RunData:
    """What was logged to a run: parameters, tags, and each metric's newest value."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run."""

    info: RunInfo
    data: RunData

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Run:
        """Read a run of MLflow's REST API. Protobuf leaves out what is empty."""
        info, data = answer["info"], answer.get("data", {})
        return cls(
            info=RunInfo(
                run_id=info.get("run_id") or info["run_uuid"],
                run_name=info.get("run_name", ""),
                experiment_id=str(info.get("experiment_id", "")),
                status=info.get("status", RUNNING),
                start_time=_milliseconds(info.get("start_time")),
                end_time=_milliseconds(info.get("end_time")),
                artifact_uri=info.get("artifact_uri", ""),
                lifecycle_stage=info.get("lifecycle_stage", "active"),
            ),
            data=RunData(
                metrics={metric["key"]: metric_from_json(metric).value for metric in data.get("metrics", ())},
                params={parameter["key"]: parameter.get("value", "") for parameter in data.get("params", ())},
                tags={tag["key"]: tag.get("value", "") for tag in data.get("tags", ())},
            ),
        )


def metric_from_json(answer: Mapping[str, Any]) -> Metric:
    """Read a metric of MLflow's REST API, in which NaN and infinities are texts, and large whole numbers may be."""
    return Metric(
        key=answer["key"],
        value=float(answer.get("value", 0.0)),
        timestamp=int(answer.get("timestamp", 0)),
        step=int(answer.get("step", 0)),
    )


def metric_to_json(metric: Metric) -> dict[str, Any]:
    """A metric as MLflow's REST API takes it."""
    value = metric.value if math.isfinite(metric.value) else str(metric.value).replace("inf", "Infinity")
    return {
        "key": metric.key,
        "value": "NaN" if value == "nan" else value,
        "timestamp": metric.timestamp,
        "step": metric.step,
    }


def _milliseconds(value: str | float | None) -> int | None:
    # Absent, or 0 from servers that do not know absence.
    return int(value) or None if value is not None else None
