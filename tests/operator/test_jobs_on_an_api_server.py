"""What a real API server says of our Jobs and of their pods: every field known, every rule of its own kept."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlp.resources.plan import PlannedBundle
from tests.cluster.cluster import ClusterError
from tests.operator.build import plan
from tests.operator.test_job import everything, made
from tests.operator.test_overlay import ALLOWED

if TYPE_CHECKING:
    from tests.cluster import Cluster


def jobs() -> list[dict[str, Any]]:
    """One of each kind that differ in their fields."""
    whole = everything()
    source = replace(plan().source, bundle=PlannedBundle(sha256="0" * 64), uri=None, commit=None)
    sent = {"bundle": {"configMapName": "sent", "sha256": "0" * 64}}
    overlays = [{**whole, "backend": {"podTemplate": overlay}} for overlay in ALLOWED.values()]
    parts = [{}, whole, {"needs": {"source": source}, "project": sent, "queueName": "q"}, *overlays]
    return [made(**each) for each in parts]


def test_it_takes_them(api_server: Cluster, namespace: str) -> None:
    def try_out(*objects: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        options = ("--dry-run=server", "--validate=strict", "--namespace", namespace, "-f", "-")
        api_server.kubectl("create", *options, stdin=json.dumps(listed))

    given = jobs()
    for number, job in enumerate(given):
        job["metadata"] |= {"namespace": namespace, "name": f"job-{number}"}
    try_out(*given)
    # Pod Security, which refuses pods and not Jobs: of those whose account and priority a new namespace has.
    pods = [
        {"apiVersion": "v1", "kind": "Pod", **job["spec"]["template"]}
        for job in given
        if not {"serviceAccountName", "priorityClassName", "runtimeClassName", "priority"} & set(podspec(job))
    ]
    assert len(pods) > len(ALLOWED) / 2
    for number, pod in enumerate(pods):
        pod["metadata"] = {**pod["metadata"], "name": f"pod-{number}", "namespace": namespace}
    wait_for_the_account(api_server, namespace)
    try_out(*pods)


def podspec(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def wait_for_the_account(api_server: Cluster, namespace: str) -> None:
    """Until the namespace has its default ServiceAccount, no pod can be created there."""
    end = time.monotonic() + 120
    while True:
        try:
            api_server.kubectl("get", "serviceaccount", "default", "--namespace", namespace)
        except ClusterError:
            assert time.monotonic() < end
            time.sleep(0.2)
        else:
            return
