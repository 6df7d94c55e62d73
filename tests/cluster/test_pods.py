"""What the other tests take for granted of their cluster."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.cluster import ClusterError
from tests.cluster.layout import NODE_IP, PAUSE_IMAGE, POD_RANGE, SERVICE_IPS
from tests.servers.package_server import serving

PAUSE = PAUSE_IMAGE
SERVER = Path(__file__).with_name("answering.py")


def pod(name: str, *, image: str, command: list[str] | None = None) -> str:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "securityContext": context}
    if command:
        container["command"] = command
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def output(cluster, namespace, name, command):
    """What a pod of the runner's image prints."""
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=pod(name, image="mlp.test/runner:1", command=command))
    cluster.kubectl("-n", namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
    return cluster.kubectl("-n", namespace, "logs", name)


def test_a_restricted_pod_becomes_ready(cluster, namespace):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=pod("one", image=PAUSE))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/one", "--timeout=60s")


def test_a_pod_that_is_not_restricted_is_refused(cluster, namespace):
    careless = json.loads(pod("careless", image=PAUSE))
    del careless["spec"]["containers"][0]["securityContext"]
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(careless))


def test_both_images_are_on_the_node(cluster, images):
    assert {image.name for image in images} <= set(cluster.images())


@pytest.mark.usefixtures("images")
def test_a_pod_reaches_a_server_that_a_test_has_started(cluster, namespace):
    ip = SERVICE_IPS[3]
    server = cluster.serve(str(SERVER), ip, "8000", ip=ip, port=8000)
    fetch = f"import urllib.request as r; print(r.urlopen('http://{ip}:8000').read().decode())"
    hello, client = output(cluster, namespace, "client", ["python", "-c", fetch]).split()
    assert hello == "hello"
    assert ipaddress.ip_address(client) in ipaddress.ip_network(POD_RANGE)
    server.stop()
    assert not cluster.takes_connections(ip, 8000)


def test_this_machine_reaches_such_a_server_through_a_port_of_its_own(cluster):
    ip = SERVICE_IPS[2]
    cluster.serve(str(SERVER), ip, "8000", ip=ip, port=8000)
    local = cluster.forward(ip, 8000)
    with urllib.request.urlopen(f"http://127.0.0.1:{local}", timeout=10) as answer:
        assert answer.read() == f"hello {ip}".encode()


def test_pods_reach_a_server_of_this_machine_that_is_published(cluster, tmp_path):
    (tmp_path / "file").write_text("from here")
    with serving(tmp_path) as server:
        host, _, port = cluster.publish(server.server_address[1]).rpartition(":")
        assert cluster.takes_connections(host, int(port))
        # There and back again.
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.forward(host, int(port))}/file", timeout=60) as answer:
            assert answer.read() == b"from here"


def test_a_small_file_system_is_seen_by_the_node_alone(cluster, tmp_path):
    cluster.mount_memory(tmp_path, "size=256k,mode=755")
    write = f"head -c 1000000 /dev/zero >{tmp_path}/file"
    node = ["nsenter", f"--mount=/proc/{cluster.running.box}/ns/mnt", "--", "sh", "-c", write]
    done = subprocess.run(node, capture_output=True, text=True, check=False)
    assert "No space left" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_start_says_why(cluster):
    with pytest.raises(ClusterError, match=r"(?s)does not listen on 10\.96\.255\.10:8001.*invalid literal"):
        cluster.serve(str(SERVER), SERVICE_IPS[0], "eight thousand", ip=SERVICE_IPS[0], port=8001)


@pytest.mark.usefixtures("images")
def test_a_pod_reaches_the_api_server(cluster, namespace):
    ask = (
        "import ssl, urllib.request as r\n"
        "authority = '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt'\n"
        "context = ssl.create_default_context(cafile=authority)\n"
        "print(r.urlopen('https://10.96.0.1/version', context=context).status)"
    )
    assert output(cluster, namespace, "asker", ["python", "-c", ask]) == "200\n"


@pytest.mark.usefixtures("images")
def test_a_pod_has_no_way_out_of_the_cluster(cluster, namespace):
    attempt = (
        "import socket\n"
        "try: socket.create_connection(('192.0.2.1', 80), 5)\n"
        "except OSError as error: print(error.strerror)"
    )
    assert output(cluster, namespace, "prisoner", ["python", "-c", attempt]) == "Network is unreachable\n"


def test_the_node_is_the_one_of_the_layout(cluster):
    address = "jsonpath={.items[*].status.addresses[?(@.type=='InternalIP')].address}"
    assert cluster.kubectl("get", "nodes", "-o", address) == NODE_IP
