"""Runs on this machine and what a real MLflow server has of them: created in time, and always ended truly."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

import mlp
from mlp.errors import DataError, ExecutionException, ParameterMissing, PreparationError, RunFailed, TrackingUnavailable
from tests.backends.local.records import record, records
from tests.cli.program import MLP, commit, environment, project
from tests.cli.program import mlp as program


@pytest.fixture
def experiment():
    return f"local-{uuid.uuid4().hex}"


@pytest.fixture
def uri(mlflow_server, monkeypatch, tmp_path):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLP_TRACKING")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("MLP_ENV_ROOT", str(tmp_path / "envs"))
    return mlflow_server.uri


@pytest.fixture
def silent_server():
    """A server that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/data.csv"


def waited_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def only(uri, experiment):
    (found,) = records(uri, experiment)
    return found


def test_a_run_is_recorded_with_what_mlflow_records_and_the_raw_values(uri, experiment, tmp_path):
    work = project(
        tmp_path / "wine", "true {who}", parameters={"who": "string", "alpha": {"default": 0.5}}, name="Wine"
    )
    head = commit(work)

    run = mlp.run(work, parameters={"who": "a b;c", "extra": ""}, experiment_name=experiment, run_name="first")

    kept = record(uri, run.run_id)
    assert (kept.status, kept.name, kept.ended) == ("FINISHED", "first", True)
    assert kept.parameters == {"who": "a b;c", "alpha": "0.5", "extra": ""}
    expected = {
        "mlflow.user": getpass.getuser(),
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": head,
        "mlflow.project.entryPoint": "main",
        "mlflow.project.backend": "local",
        "mlp.project.name": "Wine",
        "mlflow.runName": "first",
    }
    assert expected.items() <= kept.tags.items()
    assert kept.tags["mlflow.source.name"].startswith("file://")
    assert "mlflow.parentRunId" not in kept.tags
    assert "mlflow.project.env" not in kept.tags


def test_the_command_finds_its_record_by_its_variables(uri, experiment, tmp_path):
    project(tmp_path, 'echo "$MLFLOW_RUN_ID $MLFLOW_TRACKING_URI $MLFLOW_EXPERIMENT_ID $MLP_RUN_ID" > said')

    run = mlp.run(tmp_path, experiment_name=experiment)

    kept = record(uri, run.run_id)
    assert (tmp_path / "said").read_text().split() == [run.run_id, uri, kept.experiment, run.run_id]


def test_a_command_that_fails_is_failed_and_the_error_has_its_last_lines(uri, experiment, tmp_path, capfd):
    project(tmp_path, "for i in $(seq 30); do echo line $i; done; echo the reason >&2; exit 3")

    with pytest.raises(ExecutionException) as failed:
        mlp.run(tmp_path, experiment_name=experiment)

    assert isinstance(failed.value, RunFailed)
    assert failed.value.status == 3
    assert len(failed.value.last_lines) == 20
    assert failed.value.last_lines[-2:] == ("line 30", "the reason")
    assert "the reason" in str(failed.value)
    out, err = capfd.readouterr()
    assert out == "".join(f"line {number}\n" for number in range(1, 31))
    assert err == "the reason\n"
    assert only(uri, experiment).status == "FAILED"


def test_a_mistake_of_the_caller_leaves_no_record(uri, experiment, tmp_path):
    project(tmp_path, "true {who}", parameters={"who": "string"})

    with pytest.raises(ParameterMissing):
        mlp.run(tmp_path, experiment_name=experiment)

    assert records(uri, experiment) == []


def test_data_that_is_not_there_ends_the_run_as_failed(uri, experiment, tmp_path):
    project(tmp_path, "touch started; cat {data}", parameters={"data": "path"})
    missing = f"{uri}/no/such/file.csv"

    with pytest.raises(DataError, match=r"file\.csv"):
        mlp.run(tmp_path, parameters={"data": missing}, experiment_name=experiment)

    kept = only(uri, experiment)
    assert (kept.status, kept.ended, kept.parameters) == ("FAILED", True, {"data": missing})
    assert not (tmp_path / "started").exists()


def test_an_environment_that_cannot_be_built_ends_the_run_as_failed(uri, experiment, tmp_path):
    project(tmp_path, "touch started", conda_env="conda.yaml")
    (tmp_path / "conda.yaml").write_text("channels: [file:///no/such/channel, nodefaults]\ndependencies: [wine]\n")

    with pytest.raises(PreparationError):
        mlp.run(tmp_path, experiment_name=experiment)

    kept = only(uri, experiment)
    assert (kept.status, kept.tags["mlflow.project.env"]) == ("FAILED", "conda")
    assert not (tmp_path / "started").exists()


def test_a_run_in_the_background_tells_by_itself_what_was_wrong_with_its_data(uri, experiment, tmp_path):
    project(tmp_path, "cat {data}", parameters={"data": "path"})

    run = mlp.run(tmp_path, parameters={"data": f"{uri}/no/such.csv"}, experiment_name=experiment, synchronous=False)

    assert not run.wait()
    assert (run.get_status(), run.exit_status) == ("FAILED", None)
    assert isinstance(run.error, DataError)
    assert str(run.error) in "\n".join(run.logs(follow=True))
    assert only(uri, experiment).status == "FAILED"


def test_a_cancelled_run_is_killed_in_the_store_too(uri, experiment, tmp_path):
    run = mlp.run(project(tmp_path, "echo ready; sleep 300; true"), experiment_name=experiment, synchronous=False)
    assert next(run.logs(follow=True)) == "ready"
    assert record(uri, run.run_id).status == "RUNNING"

    run.cancel()

    assert run.get_status() == "KILLED"
    assert only(uri, experiment).status == "KILLED"


def test_a_run_can_be_cancelled_while_its_data_is_on_the_way(uri, experiment, tmp_path, silent_server):
    project(tmp_path, "touch started; cat {data}", parameters={"data": "path"})
    run = mlp.run(tmp_path, parameters={"data": silent_server}, experiment_name=experiment, synchronous=False)
    assert run.get_status() == "SCHEDULED"

    run.cancel()

    assert (run.get_status(), run.exit_status) == ("KILLED", None)
    assert only(uri, experiment).status == "KILLED"
    assert not (tmp_path / "started").exists()


def test_many_runs_go_on_at_once_in_one_process(uri, experiment, tmp_path):
    project(tmp_path, "while [ ! -e go ]; do sleep 0.05; done; [ {number} != 3 ]", parameters={"number": "int"})

    runs = [
        mlp.run(tmp_path, parameters={"number": number}, experiment_name=experiment, synchronous=False)
        for number in range(8)
    ]
    waited_for(lambda: all(run.get_status() == "RUNNING" for run in runs))
    (tmp_path / "go").touch()

    assert [run.wait() for run in runs] == [number != 3 for number in range(8)]
    states = {kept.parameters["number"]: kept.status for kept in records(uri, experiment)}
    assert states == {str(number): "FAILED" if number == 3 else "FINISHED" for number in range(8)}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command_line_s_run_as_killed(uri, experiment, tmp_path, number, status):
    project(tmp_path, "echo ready; sleep 300; true")
    command = [MLP, "run", str(tmp_path), "--experiment-name", experiment]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        running.wait(60)

    assert running.returncode == status
    assert only(uri, experiment).status == "KILLED"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_data_is_on_the_way_ends_the_run_as_killed(
    uri, experiment, tmp_path, silent_server, number, status
):
    project(tmp_path, "cat {data}", parameters={"data": "path"})
    command = [MLP, "run", str(tmp_path), "-P", f"data={silent_server}", "--experiment-name", experiment]

    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        waited_for(lambda: records(uri, experiment))
        running.send_signal(number)
        running.wait(60)

    assert running.returncode == status
    assert only(uri, experiment).status == "KILLED"


class Impatient(BaseHTTPRequestHandler):
    """Hands requests on to a tracking server, and signals a run that begins to write its end."""

    def do_GET(self):
        if self.path.startswith("/api/2.0/mlflow/runs/get?") and not self.server.signalled:
            self.server.signalled = True
            self.server.run.send_signal(self.server.number)
        self._hand_on(None)

    def do_POST(self):
        self._hand_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _hand_on(self, body):
        answer = requests.request(self.command, self.server.target + self.path, data=body, headers=self.headers)
        # Whoever was interrupted waits for no answer.
        with contextlib.suppress(ConnectionError):
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def impatient(uri):
    with ThreadingHTTPServer(("127.0.0.1", 0), Impatient) as server:
        server.target, server.signalled = uri, False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_does_not_keep_the_first_from_being_recorded(
    uri, experiment, tmp_path, impatient, number, status
):
    project(tmp_path, "echo ready; sleep 300")
    command = [MLP, "run", str(tmp_path), "--experiment-name", experiment]
    variables = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{impatient.server_port}"}

    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        impatient.run, impatient.number = running, number
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        running.wait(60)

    assert impatient.signalled
    assert running.returncode == status
    assert only(uri, experiment).status == "KILLED"


class _Halting(BaseHTTPRequestHandler):
    """Sends the first tenth of a file, and no more."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(30 << 20))
        self.end_headers()
        self.wfile.write(b"x" * (3 << 20))
        self.wfile.flush()
        self.server.released.wait(60)

    def log_message(self, *_):
        pass


@pytest.fixture
def halting_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Halting) as server:
        server.daemon_threads = True
        server.released = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/data.csv"
        server.released.set()
        server.shutdown()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_had_arrived_of_data_goes_away_with_the_run(tmp_path, halting_server, number):
    project(tmp_path / "p", "cat {data}", parameters={"data": "path"})
    command = [MLP, "run", str(tmp_path / "p"), "-P", f"data={halting_server}", "--storage-dir", str(tmp_path / "kept")]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as running:
        try:
            waited_for(lambda: [file for file in tmp_path.rglob("new") if file.stat().st_size], seconds=40)
            running.send_signal(number)
            running.wait(40)
        finally:
            running.kill()

    assert not [file for file in (tmp_path / "kept").rglob("*") if file.is_file()]


DRIVER = """
import sys, time, mlp
runs = [mlp.run(sys.argv[1], experiment_name=sys.argv[2], synchronous=False) for _ in range(2)]
for run in runs:
    next(run.logs(follow=True))
print("ready", flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_driver_that_is_ended_takes_its_runs_with_it(uri, experiment, tmp_path, number, status):
    project(tmp_path, "echo ready; sleep 300; true")
    command = [sys.executable, "-c", DRIVER, str(tmp_path), experiment]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        assert driver.stdout.readline() == "ready\n"
        driver.send_signal(number)
        driver.wait(60)

    assert driver.returncode == status
    assert [kept.status for kept in records(uri, experiment)] == ["KILLED", "KILLED"]


THREADS = """
import sys, threading, time, mlp
threading.Thread(target=mlp.run, args=(sys.argv[1],), kwargs={"experiment_name": sys.argv[2]}).start()
time.sleep(300)
"""


def test_a_driver_that_is_interrupted_takes_the_runs_of_its_threads_with_it(uri, experiment, tmp_path):
    project(tmp_path, "echo ready; sleep 300; true")
    command = [sys.executable, "-c", THREADS, str(tmp_path), experiment]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        assert driver.stdout.readline() == "ready\n"
        driver.send_signal(signal.SIGINT)
        driver.wait(60)

    assert driver.returncode == -signal.SIGINT
    assert only(uri, experiment).status == "KILLED"


def test_the_name_of_another_experiment_does_not_reach_the_command(uri, experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    project(tmp_path, 'echo "${{MLFLOW_EXPERIMENT_NAME-none}} $MLFLOW_EXPERIMENT_ID" > said')

    run = mlp.run(tmp_path, experiment_name=experiment)

    assert (tmp_path / "said").read_text().split() == ["none", record(uri, run.run_id).experiment]


STATUS = """
import json, os, sys, urllib.request
body = {"run_id": os.environ["MLFLOW_RUN_ID"], "status": sys.argv[1], "end_time": 1700000000000}
address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/update"
urllib.request.urlopen(urllib.request.Request(
    address, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST")).read()
"""


def test_a_terminal_status_of_the_project_s_own_code_is_kept(uri, experiment, tmp_path):
    (tmp_path / "set.py").write_text(STATUS)
    project(tmp_path, "python set.py KILLED")

    run = mlp.run(tmp_path, experiment_name=experiment)

    assert record(uri, run.run_id).status == "KILLED"


def test_a_run_that_a_project_starts_has_the_project_s_run_as_its_parent(uri, experiment, tmp_path):
    project(tmp_path / "inner", "true")
    project(tmp_path / "outer", f"mlp run {tmp_path / 'inner'}")

    run = mlp.run(tmp_path / "outer", experiment_name=experiment)

    inner, outer = records(uri, experiment)
    assert inner.tags["mlflow.parentRunId"] == run.run_id
    assert "mlflow.parentRunId" not in outer.tags


def test_a_run_that_exists_is_continued(uri, experiment, tmp_path):
    project(tmp_path, "true")
    first = mlp.run(tmp_path, experiment_name=experiment)

    again = mlp.run(tmp_path, parameters={"more": 1}, run_id=first.run_id, experiment_name=experiment)

    assert again.run_id == first.run_id
    assert only(uri, experiment).parameters == {"more": "1"}


@pytest.mark.usefixtures("uri")
def test_a_server_that_is_not_there_is_told_before_anything_starts(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        gone = f"http://127.0.0.1:{closed.getsockname()[1]}"
    project(tmp_path, "touch started")

    with pytest.raises(TrackingUnavailable, match=r"127\.0\.0\.1"):
        mlp.run(tmp_path, tracking_uri=gone)

    assert not (tmp_path / "started").exists()


def test_the_value_of_a_secret_parameter_is_recorded_and_shown_nowhere(uri, experiment, tmp_path):
    project(tmp_path / "p", "[ {token} = 'open sesame' ]", parameters={"token": "string"})
    token = {"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    spec = {
        "project": {"uri": "https://git.example.com/p.git"},
        "parameters": [token],
        "experiment": {"name": experiment, "runName": "quiet", "tags": [{"name": "owner", "value": "ann"}]},
    }
    run = {"apiVersion": "mlp.dev/v1alpha1", "kind": "ProjectRun", "metadata": {"name": "quiet"}, "spec": spec}
    (tmp_path / "run.yaml").write_text(json.dumps(run))

    done = program(
        *("run", tmp_path / "p", "-f", tmp_path / "run.yaml", "-P", "token=open sesame"),
        MLFLOW_TRACKING_URI=uri,
        MLP_TRACKING="on",
    )

    assert done.returncode == 0
    assert "sesame" not in done.stdout + done.stderr
    kept = only(uri, experiment)
    assert (kept.name, kept.tags["owner"], kept.parameters) == ("quiet", "ann", {"token": "***"})


@pytest.mark.usefixtures("uri")
def test_output_goes_where_python_s_own_output_goes(experiment, tmp_path):
    program_text = (
        "import io, sys, mlp\n"
        "sys.stdout = cell = io.StringIO()\n"
        "mlp.run(sys.argv[1], experiment_name=sys.argv[2])\n"
        "sys.stdout = sys.__stdout__\n"
        "assert cell.getvalue() == 'in the notebook \\N{SNAKE}\\n', cell.getvalue()\n"
    )
    project(tmp_path, "echo in the notebook 🐍")

    done = subprocess.run(
        [sys.executable, "-c", program_text, str(tmp_path), experiment], capture_output=True, timeout=120, check=True
    )

    assert done.stdout == b""


def test_runs_of_other_threads_are_recorded_too(uri, experiment, tmp_path):
    project(tmp_path, "true")
    threads = [
        threading.Thread(target=mlp.run, args=(tmp_path,), kwargs={"experiment_name": experiment}) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [kept.status for kept in records(uri, experiment)] == ["FINISHED"] * 3


AT_THE_END = """
import sys, mlp
runs = [mlp.run(sys.argv[1], experiment_name=sys.argv[2], synchronous=False) for _ in range(2)]
for run in runs:
    next(run.logs(follow=True))
import threading
threading.Thread(target=lambda: (threading.main_thread().join(), print("ready", flush=True))).start()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_only_waits_for_its_runs_ends_by_the_signal_and_so_do_they(uri, experiment, tmp_path, number):
    project(tmp_path, "echo ready; sleep 300; true")
    command = [sys.executable, "-c", AT_THE_END, str(tmp_path), experiment]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "ready\n"
        driver.send_signal(number)
        error = driver.communicate(timeout=60)[1]

    assert driver.returncode == -number
    assert "Traceback" not in error
    assert [kept.status for kept in records(uri, experiment)] == ["KILLED", "KILLED"]


def test_credentials_in_an_address_are_not_recorded_nor_shown(uri, experiment, tmp_path, caplog):
    project(tmp_path, "echo {where} > said", parameters={"where": "uri"})
    caplog.set_level("INFO", logger="mlp")

    run = mlp.run(
        tmp_path, parameters={"where": "https://ada:sesame@data.example.com/x?token=hush"}, experiment_name=experiment
    )

    assert "ada:sesame" in (tmp_path / "said").read_text()
    assert record(uri, run.run_id).parameters == {"where": "https://***@data.example.com/x?token=***"}
    assert "sesame" not in caplog.text


@pytest.mark.usefixtures("uri")
def test_a_failure_in_the_background_is_told_although_nobody_asks(experiment, tmp_path):
    project(tmp_path, "exit 3")
    program_text = "import sys, mlp; mlp.run(sys.argv[1], experiment_name=sys.argv[2], synchronous=False)"

    done = subprocess.run(
        [sys.executable, "-c", program_text, str(tmp_path), experiment],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert "failed: its command ended with status 3" in done.stderr
