"""The configuration files of a test node: kubelet, kube-proxy, containerd and the pods' network.

Each unusual value has its reason beside it: most exist so that a node runs in namespaces of an ordinary container,
without CAP_SYS_RESOURCE, and leaves nothing on the machine. Pure but for `write`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster.layout import NODE, NODE_IP, PAUSE_IMAGE, POD_RANGE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.layout import Layout


def kubelet_file(layout: Layout) -> Path:
    """Where `write` puts kubelet's configuration."""
    return layout.base / "kubelet.json"


def kube_proxy_file(layout: Layout) -> Path:
    """Where `write` puts kube-proxy's configuration."""
    return layout.base / "kube-proxy.json"


def containerd_file(layout: Layout) -> Path:
    """Where `write` puts containerd's configuration."""
    return layout.base / "containerd.toml"


def write(layout: Layout) -> None:
    """Write all four files."""
    kubelet_file(layout).write_text(json.dumps(kubelet(layout), indent=2))
    kube_proxy_file(layout).write_text(json.dumps(kube_proxy(layout), indent=2))
    containerd_file(layout).write_text(containerd(layout))
    networks = layout.base / "cni"
    networks.mkdir()
    (networks / "10-mlp-test.conflist").write_text(json.dumps(network(), indent=2))


def kubelet(layout: Layout) -> dict[str, Any]:
    """A KubeletConfiguration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "maxPods": layout.max_pods,
        # Kubernetes 1.35 and later refuse cgroup v1 otherwise.
        "failCgroupV1": False,
        # Debian's containerd 1.6 cannot tell kubelet which driver it uses.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "enforceNodeAllocatable": ["none"],
        "failSwapOn": False,
        # Without CAP_SYS_RESOURCE nothing below 0 is allowed.
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "podLogsDir": str(layout.base / "pod-logs"),
        "volumePluginDir": str(layout.base / "volume-plugins"),
        # Pods have no route out, so there is nobody to ask for names.
        "resolvConf": "",
        "clusterDomain": "cluster.local",
        "makeIPTablesUtilChains": False,
        # A test's images and pods stay, however full the machine's disk is.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "memory.available": "0%",
        },
        "nodeStatusUpdateFrequency": "2s",
        # A test that kills a container again and again need not wait for minutes.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
        "syncFrequency": "10s",
    }


def kube_proxy(layout: Layout) -> dict[str, Any]:
    """A KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.pki / "kube-proxy.kubeconfig")},
        "hostnameOverride": NODE,
        "clusterCIDR": POD_RANGE,
        "mode": "iptables",
        "oomScoreAdj": 0,
        # Zeros: the machine's connection tracking is not ours to tune.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def containerd(layout: Layout) -> str:
    """The configuration of containerd 1.6 and later (version 2 of the file's format)."""
    snapshotters = [f"io.containerd.snapshotter.v1.{name}" for name in ("btrfs", "aufs", "zfs", "devmapper")]
    tracing = ["io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
    # JSON's strings and lists of strings are TOML's too.
    return f"""\
version = 2
root = {json.dumps(str(layout.base / "containerd"))}
state = "/run/containerd/state"
disabled_plugins = {json.dumps(snapshotters + tracing)}
[grpc]
  address = {json.dumps(str(layout.containerd_socket))}
[plugins."io.containerd.internal.v1.opt"]
  path = {json.dumps(str(layout.base / "opt"))}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {json.dumps(PAUSE_IMAGE)}
  # Without CAP_SYS_RESOURCE every sandbox fails otherwise.
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = {json.dumps(str(layout.base / "cni"))}
"""


def network() -> dict[str, Any]:
    """The pods' network: a bridge inside the cluster's own network namespace, no way out."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "mlp-test", "plugins": [{**bridge, "ipam": addresses}, ports]}
