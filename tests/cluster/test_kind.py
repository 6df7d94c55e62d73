"""kind-config.yaml: the cluster of people with Docker is like the tests' own."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.cluster import configuration
from tests.cluster.layout import REPOSITORY, Layout

CONFIG = yaml.safe_load((REPOSITORY / "kind-config.yaml").read_text())


def test_kind_gets_a_cluster_of_one_node():
    assert (CONFIG["apiVersion"], CONFIG["kind"]) == ("kind.x-k8s.io/v1alpha4", "Cluster")
    assert [node["role"] for node in CONFIG["nodes"]] == ["control-plane"]


def test_kinds_kubelet_takes_as_many_pods_as_ours():
    patches = [yaml.safe_load(patch) for patch in CONFIG["nodes"][0]["kubeadmConfigPatches"]]
    (kubelet,) = [patch for patch in patches if patch["kind"] == "KubeletConfiguration"]
    ours = configuration.kubelet(Layout(base=Path("/base"), binaries=Path("/bin")))
    assert kubelet["maxPods"] == ours["maxPods"] >= 250
