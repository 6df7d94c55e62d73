"""`python -m tests.cluster`: a test cluster from the command line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster import binaries, cluster
from tests.cluster.holding import InUseError
from tests.cluster.layout import Running, default_base
from tests.cluster.packages import Missing, is_root


def main(arguments: list[str]) -> int:
    """Do one command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description="A Kubernetes for tests, without Docker."
    )
    parser.add_argument("--base", type=Path, default=default_base(), help="where it lives (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a cluster and print its kubeconfig's path")
    up.add_argument(
        "--control-plane", action="store_true", help="the API server and controllers alone: no pods, no root"
    )
    up.add_argument("--port", type=int, default=0, help="the API server's port on 127.0.0.1 (default: a free one)")
    up.add_argument(
        "--kube-api-qps", type=float, default=20, help="kube-controller-manager's own (default: %(default)s)"
    )
    up.add_argument(
        "--kube-api-burst", type=int, default=30, help="kube-controller-manager's own (default: %(default)s)"
    )
    up.add_argument("--max-pods", type=int, default=250, help="of the node (default: %(default)s)")
    commands.add_parser("down", help="end it and remove everything of it")
    load = commands.add_parser("load", help="load image archives into it")
    load.add_argument("archive", type=Path, nargs="+")
    commands.add_parser("kubeconfig", help="print its kubeconfig's path")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("prepare", help="fetch and build what a cluster needs, start none")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (Missing, InUseError, cluster.ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    base: Path = options.base.absolute()
    running = Running.read(base)
    if options.command == "up":
        if running is None:
            running = _up(options, base)
        print(running.layout.kubeconfig)
    elif options.command == "prepare":
        print(binaries.directory("node" if is_root() else "control-plane"))
    elif options.command == "down":
        if not cluster.stop(base):
            print(f"no cluster under {base}", file=sys.stderr)
    elif running is None:
        raise Missing(f"no cluster runs under {base}: start one with `python -m tests.cluster up`")
    elif options.command == "load":
        cluster.OwnCluster(running).load(*options.archive)
    elif options.command == "kubeconfig":
        print(running.layout.kubeconfig)
    else:
        return _status(running)
    return 0


def _up(options: argparse.Namespace, base: Path) -> Running:
    layout = cluster.plan(
        "control-plane" if options.control_plane else "node",
        base=base,
        port=options.port,
        kube_api_qps=options.kube_api_qps,
        kube_api_burst=options.kube_api_burst,
        max_pods=options.max_pods,
    )
    return cluster.start(layout, owned=False).running


def _status(running: Running) -> int:
    kind = "a node" if running.box is not None else "a control plane alone"
    print(f"{kind} under {running.layout.base}, kept by process {running.keeper}")
    kubectl = [running.layout.binary("kubectl"), f"--kubeconfig={running.layout.kubeconfig}"]
    return subprocess.run([*kubectl, "get", "nodes,pods", "--all-namespaces"], check=False, env=os.environ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
