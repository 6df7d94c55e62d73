"""`mlp submit` that is ended in the middle. The cluster is a server that keeps an answer back."""

from __future__ import annotations

import json
import signal
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from tests.cli.program import MLP, environment

PATIENCE = 120.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_whose_project_has_not_arrived_is_deleted_again(tmp_path, number):
    waiting, let_go, deleted = Event(), Event(), []

    class Cluster(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if sent["kind"] == "ConfigMap":
                waiting.set()
                let_go.wait(PATIENCE)
                return
            self._answer(sent | {"metadata": sent["metadata"] | {"namespace": "default", "uid": "u-1"}}, 201)

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            deleted.append(self.path.partition("?")[0].rpartition("/")[2])
            self._answer({"kind": "Status", "status": "Success"})

        def _answer(self, content: object, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    (tmp_path / "wine").mkdir()
    (tmp_path / "wine" / "MLproject").write_text("entry_points: {main: {command: 'true'}}\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "config").write_text(
            "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {}}], contexts: [{name: c, "
            f"context: {{cluster: c, user: u}}}}], clusters: [{{name: c, cluster: {{server: "
            f"'http://127.0.0.1:{server.server_port}'}}}}]}}"
        )
        with subprocess.Popen(
            [MLP, "submit", str(tmp_path / "wine"), "--name", "wine"],
            env=environment(KUBECONFIG=str(tmp_path / "config")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while not waiting.wait(0.1):
                assert process.poll() is None, process.communicate()
            process.send_signal(number)
            output, said = process.communicate(timeout=PATIENCE)
        let_go.set()
        server.shutdown()

    assert (process.returncode, deleted) == (128 + number, ["wine"]), said
    assert output == ""
    assert "Traceback" not in said
