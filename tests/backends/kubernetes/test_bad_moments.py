"""What an API server does in its bad moments, played by a server that has only those."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlp.backends.kubernetes import Cluster, KubernetesRun, logs, read_logs, send, submitted
from mlp.backends.kubernetes.answers import lines_of
from mlp.backends.sending import Submission
from mlp.errors import ClusterUnreachable
from mlp.projects import wait_for
from mlp.resources import ProjectRun
from tests.resources.manifests import URI

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDED = {
    "conditions": [
        {
            "type": "Succeeded",
            "status": "True",
            "reason": "Succeeded",
            "message": "",
            "lastTransitionTime": "2026-03-01T12:00:00Z",
        }
    ]
}


def wine(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": "wine", "namespace": "default", "uid": "u-1", "resourceVersion": "7"},
        "spec": {"project": {"uri": URI}},
        "status": status,
    }


@contextmanager
def answering(directory: Path, *answers: tuple[str, int, object]) -> Iterator[Cluster]:
    """An API server that answers requests (their methods) like this, one after the other and the last for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            method, status, body = left.pop(0) if len(left) > 1 else left[0]
            assert method == self.command
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 -- the base class's names

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        config = directory / "config"
        config.write_text(
            "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {}}], contexts: [{name: c, "
            f"context: {{cluster: c, user: u}}}}], clusters: [{{name: c, cluster: {{server: '{address}'}}}}]}}"
        )
        with Cluster.connect(kubeconfig=str(config)) as cluster:
            yield cluster
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, "upstream connect error"),
        (502, "<html>Bad Gateway</html>"),
        (429, {"kind": "Status", "message": "too many requests, please try again later"}),
        (500, {"kind": "Status", "message": "etcdserver: leader changed"}),
    ],
)
def test_who_waits_outlasts_an_api_server_that_is_busy_or_restarts(tmp_path, status, body):
    with answering(tmp_path, ("GET", status, body), ("GET", status, body), ("GET", 200, wine(**ENDED))) as cluster:
        assert KubernetesRun(cluster, "wine").get_status() == "FINISHED"


def test_an_answer_that_is_lost_leaves_nobody_in_the_dark_about_the_run(tmp_path):
    lost, there = ("POST", 504, {"kind": "Status", "message": "Timeout: request did not complete"}), wine()
    said = r"Nevertheless there is a ProjectRun 'wine'(?s:.*)mlp describe wine -n default"
    with answering(tmp_path, lost, ("GET", 200, there)) as cluster, pytest.raises(ClusterUnreachable, match=said):
        send(cluster, Submission(there))


def test_a_run_that_was_not_created_is_not_said_to_be_there(tmp_path):
    lost, gone = ("POST", 504, {"kind": "Status", "message": "Timeout"}), {"details": {"kind": "projectruns"}}
    with answering(tmp_path, lost, ("GET", 404, gone)) as cluster, pytest.raises(ClusterUnreachable) as caught:
        send(cluster, Submission(wine()))
    assert "Nevertheless" not in str(caught.value)


def test_following_a_container_on_a_node_that_is_gone_ends_after_its_run(monkeypatch):
    """The API server says for ever that it runs, and cannot reach the node for its log."""
    monkeypatch.setattr(logs, "PATIENCE", 0.2)
    monkeypatch.setattr(logs, "_SILENCE", 0.0)
    asked = 0

    def log(*_arguments: object, **_options: object) -> Iterator[bytes]:
        nonlocal asked
        asked += 1
        assert asked < 20
        raise ClusterUnreachable("dial tcp 10.0.0.7:10250: i/o timeout")

    running = {"name": "main", "state": {"running": {}}}
    pod = {
        "metadata": {"name": "wine-1", "uid": "p-1"},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": "Running", "containerStatuses": [running]},
    }
    pods = SimpleNamespace(of=lambda _run: [pod], get=lambda _name: pod, log=log)
    cluster: Any = SimpleNamespace(get=lambda _name: wine(**ENDED), pods=pods)

    with pytest.raises(ClusterUnreachable, match="i/o timeout"):
        list(read_logs(cluster, "wine", follow=True))


def test_lines_are_whole_however_they_arrive():
    chunks = [b"a", b"b\nc\n\n", b"", b"d", b"e", b"\n", b"10%\r20%", b"\r30%"]
    answer: Any = SimpleNamespace(
        status=200, stream=lambda **_options: iter(chunks), close=lambda: None, release_conn=lambda: None
    )

    assert list(lines_of(answer)) == [b"ab", b"c", b"", b"de", b"10%\r20%\r30%"]


def test_who_waits_for_days_keeps_the_last_state_alone(monkeypatch):
    read, most = ProjectRun.read, 0
    found: list[weakref.ref[ProjectRun]] = []

    def reading(state: dict[str, Any]) -> ProjectRun:
        nonlocal most
        gc.collect()
        most = max(most, sum(each() is not None for each in found))
        run = read(state)
        found.append(weakref.ref(run))
        return run

    monkeypatch.setattr(submitted, "ProjectRun", SimpleNamespace(read=reading))
    states = [wine() for _ in range(20)] + [wine(**ENDED)]
    cluster: Any = SimpleNamespace(states=lambda _name, timeout: iter(states), namespace="default")  # noqa: ARG005 -- by name

    wait_for(KubernetesRun(cluster, "wine"))

    assert len(found) == len(states)
    assert most <= 3


FORKING = """
import os, signal, sys, time
from mlp.backends.kubernetes.children import end_with_us

class Run:
    def __init__(self, name):
        self.name = name

    def shut_down(self):
        os.write(1, f"{self.name}\\n".encode())

end_with_us(Run("the parent's"))
if child := os.fork():
    os.waitpid(child, 0)
else:
    end_with_us(Run("the child's"))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""


def test_a_forked_process_that_is_ended_leaves_its_parents_runs_alone():
    """multiprocessing ends the workers of a pool like this."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING], env={**os.environ}, capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout == "the child's\n"
