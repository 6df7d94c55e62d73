"""A real Kubernetes for the tests and for developers, without Docker: `python -m tests.cluster up`.

One node in namespaces of its own (as root), or the control plane alone (as anyone). This package knows nothing of mlp:
tests bring their images, manifests and servers.

    keeper     ends everything when its owner is gone
    └─ unshare ── box     first process of the namespaces: etcd, API server, kubelet, containerd, … are its children
    └─ forward            a port of 127.0.0.1 that leads to the API server
"""

from __future__ import annotations

from tests.cluster.cluster import Cluster, ClusterError, OwnCluster, Server
from tests.cluster.layout import SERVICE_IPS
from tests.cluster.packages import Missing

__all__ = ["SERVICE_IPS", "Cluster", "ClusterError", "Missing", "OwnCluster", "Server"]
