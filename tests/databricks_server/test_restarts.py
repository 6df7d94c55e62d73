"""The double is stopped, killed and started again under its clients and its runs."""

from __future__ import annotations

import socket

import pytest
import requests

from tests.databricks_server import DatabricksServer
from tests.databricks_server.clients import client, ended, is_running, printed, put, submit, until, words
from tests.databricks_server.processes import below
from tests.databricks_server.program import Program

WAITS = """\
import pathlib, sys, time
print('begun', flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.02)
"""


def test_a_run_goes_on_while_the_server_is_away_and_after_it_is_back(databricks, tmp_path):
    ann = client(databricks.url, token=databricks.token)
    file = put(ann, "wait.py", WAITS + "print('ended')\n")
    run_id = submit(ann, file, str(tmp_path / "go"), idempotency_token="once")
    until(lambda: databricks.processes(run_id), bool)

    databricks.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", databricks.port), timeout=60)
    (tmp_path / "go").touch()
    until(lambda: below(databricks.directory / "runs"), lambda found: not found)
    databricks.start()

    run = ended(ann, run_id)
    assert words(run) == ("TERMINATED", "SUCCESS", "SUCCESS")
    assert printed(ann, run).logs == "begun\nended\n"
    assert submit(ann, file, idempotency_token="once") == run_id


def test_a_run_that_fails_while_the_server_is_away_has_failed(databricks, tmp_path):
    ann = client(databricks.url, token=databricks.token)
    run_id = submit(ann, put(ann, "wait.py", WAITS + "raise ValueError('late')\n"), str(tmp_path / "go"))
    until(lambda: databricks.processes(run_id), bool)

    databricks.stop()
    (tmp_path / "go").touch()
    until(lambda: below(databricks.directory / "runs"), lambda found: not found)
    databricks.start()

    run = ended(ann, run_id)
    assert words(run)[1] == "FAILED"
    assert printed(ann, run).error == "ValueError: late"


def test_a_run_that_waits_when_the_server_is_killed_is_executed_once(databricks):
    databricks.script("waits", {"pending": None})
    ann = client(databricks.url, token=databricks.token)
    run_id = submit(ann, put(ann, "hello.py", "print('hello')\n"), run_name="waits")

    databricks.kill()
    databricks.start()
    databricks.release(run_id)

    assert printed(ann, ended(ann, run_id)).logs == "hello\n"


def test_a_port_is_kept_while_nobody_serves(tmp_path):
    with DatabricksServer(tmp_path / "a") as server:
        url = server.url
        server.stop()
        with DatabricksServer(tmp_path / "b") as other:
            assert other.url != url
        server.start()
        assert server.url == url
        assert client(url, token=server.token).current_user.me().user_name == server.user


def test_a_program_is_killed_for_real_and_its_runs_outlive_it(tmp_path, databricks_python):
    with Program(tmp_path / "program", python=str(databricks_python)) as program:
        ann = client(program.url, token=program.token)
        file = put(ann, "wait.py", WAITS)
        first = submit(ann, file, str(tmp_path / "go"), idempotency_token="first")
        until(lambda: ann.jobs.get_run(first), is_running)

        program.kill()
        assert below(program.directory / "runs")
        program.start()

        assert submit(ann, file, str(tmp_path / "go"), idempotency_token="first") == first
        (tmp_path / "go").touch()
        assert words(ended(ann, first)) == ("TERMINATED", "SUCCESS", "SUCCESS")
        assert [run["run_id"] for run in program.runs()] == [first]
        assert program.call("mistakes") == []


def test_a_program_leaves_no_process_of_any_run(tmp_path, databricks_python):
    with Program(tmp_path / "program", python=str(databricks_python)) as program:
        ann = client(program.url, token=program.token)
        run_id = submit(ann, put(ann, "wait.py", WAITS), str(tmp_path / "never"))
        until(lambda: ann.jobs.get_run(run_id), is_running)

    assert below(program.directory / "runs") == {}


def test_a_program_does_what_its_test_says_and_nobody_else(tmp_path):
    with Program(tmp_path / "program") as program:
        program.call("script", pattern="held", directives={"hold": True})
        program.call("faults/add", kind="503", path="/runs/get", times=2)
        ann = client(program.url, token=program.token)
        run_id = submit(ann, "/Workspace/x.py", run_name="held")
        until(lambda: ann.jobs.get_run(run_id), is_running)
        assert len(program.call("faults/done")) == 2
        program.call("release", run_id=run_id)
        assert words(ended(ann, run_id))[1] == "SUCCESS"
        with requests.Session() as session:
            session.trust_env = False
            headers = {"X-Double-Token": "x", "Authorization": f"Bearer {program.token}"}
            answer = session.post(f"{program.url}/double/runs", json={}, headers=headers, timeout=60)
        assert answer.status_code == 403
