"""How many writes the API server was asked for, from its own counters and from the operator's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

__all__ = ["Writes", "of_api_server", "of_operator"]

Writes = Counter[tuple[str, str]]
"""Requests by verb (POST, PATCH, …) and resource (`jobs`, `projectruns/status`, …)."""

_WRITING: Final = {"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}


def of_api_server(metrics: str) -> Writes:
    """Writes that the API server has answered, whoever asked."""
    writes = Writes()
    for sample in _samples(metrics, "apiserver_request_total"):
        labels = sample.labels
        if labels["verb"] in _WRITING and not labels.get("dry_run"):
            resource = "/".join(part for part in (labels["resource"], labels["subresource"]) if part)
            writes[labels["verb"], resource] += int(sample.value)
    return writes


def of_operator(metrics: str) -> Writes:
    """Writes that the operator says it has asked for."""
    writes = Writes()
    for sample in _samples(metrics, "mlp_kube_requests_total"):
        if sample.labels["verb"] in _WRITING:
            writes[sample.labels["verb"], sample.labels["resource"]] += int(sample.value)
    return writes


def _samples(metrics: str, name: str) -> Iterator[Sample]:
    # The API server has tens of thousands of lines; parsing them all takes seconds.
    lines = [line for line in metrics.splitlines() if line.startswith(name)]
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        yield from family.samples
