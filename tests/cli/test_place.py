"""Which cluster a command talks to, and what it says when it cannot."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from tests.cli.program import mlp


def kubeconfig(path, *, server: str, namespace: str | None = None, user: dict | None = None) -> str:
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "here", "context": context}, {"name": "there", "context": context}],
        "current-context": "here",
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.fixture
def answering():
    """Starts HTTP servers that give one answer to everything."""
    servers = []

    def start(status: int, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_without_a_kubeconfig_the_user_hears_how_to_give_one(tmp_path):
    done = mlp("list", KUBECONFIG="", HOME=str(tmp_path))

    assert done.returncode == 1
    assert "There is no kubeconfig (~/.kube/config)" in done.stderr
    assert "--kubeconfig" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kubeconfig", "/nonexistent"], "There is no kubeconfig /nonexistent"),
        (["--context", "elsewhere"], "has no context 'elsewhere'. It has: here, there."),
        (["-A", "-n", "a"], "-A means all namespaces"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, arguments, message):
    path = kubeconfig(tmp_path / "config", server="http://127.0.0.1:1")

    done = mlp("list", *arguments, KUBECONFIG=path)

    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("text", ["", "a: [", "[]", "clusters: {}", "apiVersion: v1\nkind: Config\ncontexts: []"])
def test_a_kubeconfig_that_makes_no_sense_is_named(tmp_path, text):
    (tmp_path / "config").write_text(text)

    done = mlp("list", KUBECONFIG=str(tmp_path / "config"))

    assert done.returncode == 2, done.stderr
    assert f"The kubeconfig {tmp_path}/config cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_does_not_answer_is_named(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and not listening
        server = f"https://127.0.0.1:{unused.getsockname()[1]}"

        done = mlp("list", KUBECONFIG=kubeconfig(tmp_path / "config", server=server))

    assert done.returncode == 1
    assert f"The cluster at {server} cannot be reached" in done.stderr
    assert "Connection refused" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_speaks_something_else_is_named(tmp_path, answering):
    server = answering(200, "hello").replace("http:", "https:")

    done = mlp("list", KUBECONFIG=kubeconfig(tmp_path / "config", server=server))

    assert done.returncode == 1
    assert f"The cluster at {server} cannot be reached" in done.stderr


@pytest.mark.parametrize(
    ("status", "body", "exit_status", "message"),
    [
        (401, '{"kind": "Status", "message": "Unauthorized"}', 4, "does not accept the kubeconfig's credentials"),
        (
            403,
            '{"kind": "Status", "message": "User \\"system:anonymous\\" cannot list"}',
            4,
            "no credentials for this cluster",
        ),
        (403, '{"kind": "Status", "message": "User \\"ann\\" cannot list"}', 1, 'not allow it: User "ann" cannot list'),
        (404, "404 page not found\n", 1, "kubectl apply -f crds/mlp.dev_projectruns.yaml"),
        (500, "<html>proxy</html>", 1, "The cluster answered: Internal Server Error (HTTP 500)"),
    ],
)
def test_a_refusal_is_told_in_words(tmp_path, answering, status, body, exit_status, message):
    done = mlp("list", KUBECONFIG=kubeconfig(tmp_path / "config", server=answering(status, body)))

    assert done.returncode == exit_status
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_namespace_is_the_contexts_unless_another_is_given(tmp_path, answering):
    server = answering(200, '{"kind": "ProjectRunList", "metadata": {}, "items": []}')
    path = kubeconfig(tmp_path / "config", server=server, namespace="team-a")

    assert "in namespace team-a." in mlp("list", KUBECONFIG=path).stderr
    assert "in namespace team-b." in mlp("list", "-n", "team-b", KUBECONFIG=path).stderr
    assert "in any namespace." in mlp("list", "-A", KUBECONFIG=path).stderr


def test_several_kubeconfigs_are_merged_as_kubectl_does(tmp_path, answering):
    server = answering(200, '{"kind": "ProjectRunList", "metadata": {}, "items": []}')
    path = kubeconfig(tmp_path / "config", server=server, namespace="team-a")

    done = mlp("list", KUBECONFIG=f"{tmp_path}/absent:{path}")

    assert "in namespace team-a." in done.stderr


def test_a_user_without_rights_hears_which_one_is_missing(runs, tmp_path):
    runs.kubectl("create", "serviceaccount", "visitor")
    config = yaml.safe_load(runs.cluster.kubeconfig.read_text())
    token = runs.kubectl("create", "token", "visitor").strip()
    config["users"] = [{"name": entry["name"], "user": {"token": token}} for entry in config["users"]]
    (tmp_path / "config").write_text(yaml.safe_dump(config))

    done = mlp("list", "-n", runs.namespace, KUBECONFIG=str(tmp_path / "config"))

    assert done.returncode == 1
    assert "The cluster does not allow it" in done.stderr
    assert f'"system:serviceaccount:{runs.namespace}:visitor" cannot list resource "projectruns"' in done.stderr


def test_a_token_that_the_server_does_not_know_is_a_matter_of_credentials(runs, tmp_path):
    config = yaml.safe_load(runs.cluster.kubeconfig.read_text())
    config["users"] = [{"name": entry["name"], "user": {"token": "stale"}} for entry in config["users"]]
    (tmp_path / "config").write_text(yaml.safe_dump(config))

    done = mlp("list", "-n", runs.namespace, KUBECONFIG=str(tmp_path / "config"))

    assert done.returncode == 4
    assert "does not accept the kubeconfig's credentials" in done.stderr


def test_a_run_with_fields_of_a_newer_version_can_be_looked_at(tmp_path, answering):
    """Its cluster lets pass what this version does not know, and looking takes no knowledge of it."""
    run = {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": "wine", "namespace": "team", "creationTimestamp": "2026-01-02T12:00:00Z"},
        "spec": {"project": {"uri": "https://h/x", "signature": {"keyless": True}}, "priority": "high"},
        "status": {"phase": "Dreaming", "observedGeneration": 1, "dream": "electric sheep"},
    }
    path = kubeconfig(tmp_path / "config", server=answering(200, json.dumps(run)))

    done = mlp("get", "wine", KUBECONFIG=path)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Phase:        Dreaming" in done.stdout


def test_a_value_that_this_version_does_not_know_is_named(tmp_path, answering):
    run = {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": "wine"},
        "spec": {"project": {"uri": "https://h/x"}, "environment": {"manager": "Pixi"}},
    }
    path = kubeconfig(tmp_path / "config", server=answering(200, json.dumps(run)))

    done = mlp("get", "wine", KUBECONFIG=path)

    assert done.returncode == 2
    assert "'wine' cannot be read by this version of mlp, which may be older than the cluster's" in done.stderr
    assert "spec.environment.manager: must be" in done.stderr
