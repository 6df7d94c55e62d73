"""What the other tests take for granted of their cluster."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.cluster.layout import SERVICE_IPS

PAUSE = "mlp.test/pause:1"


def pod(name: str, *, image: str, command: list[str] | None = None, run_as_root: bool = False) -> str:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": not run_as_root,
        "runAsUser": 0 if run_as_root else 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "securityContext": context}
    if command:
        container["command"] = command
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_a_restricted_pod_becomes_ready(cluster, namespace):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=pod("one", image=PAUSE))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/one", "--timeout=60s")
