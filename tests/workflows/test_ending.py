"""A workflow that is ended, by Ctrl-C or by the program that has started it, ends its steps, and the store says so."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import pytest

import mlp
from mlp.backends.local import process
from tests.cli.program import MLP, project
from tests.processes import running_in
from tests.workflows.place import DEADLINE

STEP = "trap '' TERM; echo $$ $MLP_GRACE > ../pid.tmp; mv ../pid.tmp ../pid; while true; do sleep 0.1; done"
WORKFLOW = """\
import os, sys
import mlp

told = os.environ["MLP_GRACE"]
os.environ["MLP_GRACE"] = sys.argv[1] or told
run = mlp.run("step", synchronous=False)
print(told, flush=True)
run.wait()
"""


@pytest.fixture
def workflow(tmp_path):
    """A workflow whose only step does not end when it is told to."""
    directory = project(tmp_path / "workflow", "python workflow.py {grace}", parameters={"grace": "string"})
    (directory / "workflow.py").write_text(WORKFLOW)
    project(directory / "step", STEP)
    return directory


def await_file(file, run_goes_on):
    until = time.monotonic() + DEADLINE
    while not file.exists():
        assert run_goes_on()
        assert time.monotonic() < until
        time.sleep(0.05)
    return file.read_text().split()


def test_a_step_that_does_not_end_is_killed_before_the_workflow_is(desk, workflow, monkeypatch):
    for name, value in desk.variables().items():
        monkeypatch.setenv(name, value)
    # Whatever the machine is busy with: one has ended long before the other would be killed.
    monkeypatch.setattr(process, "GRACE", 120.0)
    run = mlp.run(workflow, parameters={"grace": "0.5"}, env_manager="local", synchronous=False)
    pid, _ = await_file(workflow / "pid", lambda: run.get_status() in {"SCHEDULED", "RUNNING"})

    run.cancel()

    assert not running_in(int(pid))
    assert run.get_status() == "KILLED"
    parent, step = desk.runs()
    assert {(each.status, each.ended) for each in (parent, step)} == {("KILLED", True)}
    assert step.parent == parent.run_id == run.run_id


def test_each_level_has_half_the_time_of_the_one_above(desk, workflow):
    (workflow / "step" / "MLproject").unlink()
    project(workflow / "step", "echo $MLP_GRACE > ../inner")

    done = desk.mlp("run", str(workflow), "--no-conda", "-P", "grace=")

    assert done.returncode == 0, done.stderr
    assert (float(done.stdout), float((workflow / "inner").read_text())) == (5, 2.5)


def test_a_tuning_that_is_interrupted_ends_its_runs(make_place):
    place = make_place("tuning")
    command = [MLP, "run", "tuning", "--no-conda", "-P", "learning_rates=1e-7"]
    with subprocess.Popen(
        command,
        cwd=place.directory,
        env=place.desk.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as tuning:
        try:
            until = time.monotonic() + DEADLINE
            while not any("rmse" in run.metrics for run in place.runs()):
                assert tuning.poll() is None, tuning.stderr.read()
                assert time.monotonic() < until
                time.sleep(0.5)
            tuning.send_signal(signal.SIGINT)
            said = tuning.communicate(timeout=DEADLINE)[1]
        finally:
            tuning.kill()

    assert tuning.returncode == 128 + signal.SIGINT
    assert [(run.entry_point, run.status, run.ended) for run in place.runs()] == [
        ("main", "KILLED", True),
        ("train", "KILLED", True),
    ], said
    assert re.search("KeyboardInterrupt", said)
