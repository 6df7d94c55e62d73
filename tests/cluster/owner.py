"""A program that owns a cluster with everything a test may start in it, says where it is, and waits to be killed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.cluster.cluster import start_for_this_process
from tests.cluster.layout import SERVICE_IPS
from tests.cluster.test_pods import PAUSE, SERVER, pod

cluster = start_for_this_process(sys.argv[1])
if cluster.has_node:
    cluster.serve(str(SERVER), SERVICE_IPS[1], "8000", ip=SERVICE_IPS[1], port=8000)
    cluster.forward(SERVICE_IPS[1], 8000)
    cluster.kubectl("apply", "-f", "-", stdin=pod("one", image=PAUSE))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=60s")
found = {"base": str(cluster.layout.base), "name": cluster.layout.name, "keeper": cluster.running.keeper}
print(json.dumps({**found, "kubeconfig": str(Path(cluster.kubeconfig))}), flush=True)
time.sleep(600)
