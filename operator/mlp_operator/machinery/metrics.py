"""What the operator counts about itself, for Prometheus. No label ever carries a run's name: series would never end."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The series of one operator process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "mlp_reconcile", "Passes over one ProjectRun, by how they ended.", ["result"], registry=self.registry
        )
        self.reconcile_duration = Histogram(
            "mlp_reconcile_duration_seconds",
            "Time of one pass over one ProjectRun.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.pending = Gauge("mlp_pending_reconciles", "ProjectRuns that wait for a worker.", registry=self.registry)
        self.kube_requests = Counter(
            "mlp_kube_requests",
            "Requests to the API server; code is 'unreachable' where there was no answer.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self.resolve_duration = Histogram(
            "mlp_resolve_duration_seconds",
            "Time to find a run's commit and to read its MLproject.",
            ["result"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tracking_requests = Counter(
            "mlp_tracking_requests",
            "What MLflow servers were told about runs, by how that ended.",
            ["operation", "result"],
            registry=self.registry,
        )
        self.databricks_requests = Counter(
            "mlp_databricks_requests",
            "Requests to Databricks workspaces; result is 'unreachable' where there was no answer.",
            ["operation", "result"],
            registry=self.registry,
        )
        self.databricks_runs = Gauge(
            "mlp_databricks_runs",
            "Runs on Databricks that are dealt with, by what was last heard of them.",
            ["state"],
            registry=self.registry,
        )
        self.last_event = Gauge(
            "mlp_watch_last_event_timestamp_seconds",
            "When the watch of a kind last delivered something.",
            ["kind"],
            registry=self.registry,
        )

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)
