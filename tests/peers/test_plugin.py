"""mlp as a backend of MLflow's own command line and of ``mlflow.projects.run``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.program import BIN, project
from tests.workflows.place import DEADLINE

pytestmark = pytest.mark.peer

PARAMETERS = {"rate": {"type": "float", "default": 0.1}, "name": "string"}
COMMANDS = {
    "good": "echo rate {rate} name {name}",
    "bad": "echo about to fail >&2; exit 3",
    "interrupted": "kill -INT $PPID; sleep 300",
}
MLFLOW_RUN = ("run", "-b", "mlp", "--env-manager", "local")
CALLS = {
    "good": ["good", "-P", "rate=0.50", "-P", "name=two words", "--run-name", "first"],
    "bad": ["bad", "--run-name", "second"],
    "interrupted": ["interrupted"],
    "continued": ["good", "-P", "name=x"],
    "a parameter is missing": ["good"],
    "a value does not fit": ["good", "-P", "name=x", "-P", "rate=fast"],
    "no such project": ["nowhere"],
    "a configuration": ["bad", "-c", '{"cluster": 1}'],
    "an image": ["bad", "--build-image"],
}
BEGUN = """
client = mlflow.MlflowClient(tracking_uri=uri)
answer = client.create_run(client.create_experiment(name), run_name="begun elsewhere").info.run_id
"""


@pytest.fixture(scope="module")
def projects(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("projects").resolve()
    for name, command in COMMANDS.items():
        project(root / name, command, name=f"the {name} one", parameters=PARAMETERS if name == "good" else None)
    return root


@dataclass(frozen=True, slots=True)
class Called:
    """What a call did."""

    status: int
    written: str
    said: str


@pytest.fixture(scope="module")
def called(make_desk, mlflow, projects):
    """What each call did, and the runs that it left."""
    desks = {name: make_desk() for name in CALLS}
    begun = mlflow.run(BEGUN, uri=desks["continued"].uri, name=desks["continued"].experiment)
    calls = {**CALLS, "continued": [*CALLS["continued"], "--run-id", begun]}
    done = {"good": _in_a_process_of_its_own(projects, desks["good"], calls.pop("good"))}
    done |= _in_one_process(projects, desks, calls)
    return {name: (process, desks[name].runs()) for name, process in done.items()}


def _in_a_process_of_its_own(projects, desk, arguments):
    done = subprocess.run(
        [BIN / "mlflow", *MLFLOW_RUN, *arguments],
        cwd=projects,
        env=desk.variables(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return Called(done.returncode, done.stdout, done.stderr)


def _in_one_process(projects, desks, calls):
    """The same with MLflow imported once, which takes seconds."""
    lines = [
        {
            "arguments": [*MLFLOW_RUN, *arguments],
            "directory": str(projects),
            "variables": {"MLFLOW_EXPERIMENT_NAME": desks[name].experiment},
        }
        for name, arguments in calls.items()
    ]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("in_one_process.py"), "mlflow"],
        input="".join(json.dumps(line) + "\n" for line in lines),
        env=desks["good"].variables(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    statuses = [json.loads(line) for line in done.stdout.splitlines()]
    said = re.split(r"^--- .*\n", done.stderr, flags=re.MULTILINE)[1:]
    assert len(statuses) == len(said) == len(calls), done.stderr
    return {name: Called(status, "", text) for name, status, text in zip(calls, statuses, said, strict=True)}


def tags(projects, name):
    return {
        "mlflow.source.name": str(projects / name),
        "mlflow.source.type": "PROJECT",
        "mlflow.project.entryPoint": "main",
        "mlflow.project.backend": "mlp",
        "mlp.project.name": f"the {name} one",
    }


def test_mlflow_s_program_waits_and_shows_what_the_run_writes(called, projects):
    done, (run,) = called["good"]

    assert done.status == 0, done.said
    assert done.written == "rate 0.50 name two words\n"
    assert f"=== Run (ID '{run.run_id}') succeeded ===" in done.said
    assert f"=== Running command 'echo rate 0.50 name 'two words'' in run with ID '{run.run_id}' ===" in done.said
    assert (run.status, run.ended, run.name) == ("FINISHED", True, "first")
    assert run.parameters == {"rate": "0.50", "name": "two words"}
    assert run.own_tags == tags(projects, "good")


def test_its_exit_status_tells_of_a_run_that_fails(called, projects):
    done, (run,) = called["bad"]

    assert done.status == 1
    assert f"=== Run (ID '{run.run_id}') failed: entry point main ended with exit status 3." in done.said
    assert "about to fail" in done.said
    assert "Traceback" not in done.said
    assert (run.status, run.ended, run.name) == ("FAILED", True, "second")
    assert run.own_tags == tags(projects, "bad")


def test_ctrl_c_kills_the_run(called):
    done, (run,) = called["interrupted"]

    assert done.status == 1
    assert "Aborted!" in done.said
    assert (run.status, run.ended) == ("KILLED", True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a parameter is missing", "name"),
        ("a value does not fit", "'rate' got 'fast'"),
        ("no such project", "nowhere"),
        ("a configuration", "The backend mlp has no configuration on this machine; leave cluster out, or add"),
        ("an image", "mlp builds no images"),
    ],
)
def test_what_is_wrong_with_a_call_is_said_in_one_line_and_nothing_is_recorded(called, name, said):
    done, runs = called[name]

    assert done.status == 1
    assert "===" in done.said
    assert said in done.said
    assert "Traceback" not in done.said
    assert runs == []


def test_its_option_for_a_run_to_continue_reaches_us(called):
    done, (run,) = called["continued"]

    assert done.status == 0, done.said
    assert f"=== Run (ID '{run.run_id}') succeeded ===" in done.said
    assert (run.status, run.name) == ("FINISHED", "begun elsewhere")
    assert run.parameters == {"rate": "0.1", "name": "x"}


SYNCHRONOUS = """
with mlflow.start_run() as parent:
    run = mlflow.projects.run(good, parameters={"name": "x", "rate": 2}, backend="mlp", env_manager="local")
answer = [parent.info.run_id, run.run_id, run.wait(), run.get_status(), isinstance(run, mlflow.projects.SubmittedRun)]
"""
FAILING = """
try:
    mlflow.projects.run(bad, backend="mlp", env_manager="local")
except mlflow.exceptions.ExecutionException as error:
    answer = str(error)
"""
BACKGROUND = """
import time
options = {"backend": "mlp", "env_manager": "local", "synchronous": False}
good = mlflow.projects.run(good, parameters={"name": "x"}, run_name="named", **options)
bad = mlflow.projects.run(bad, **options)
long = mlflow.projects.run(long, **options)
until = time.monotonic() + 200
while long.get_status() != "RUNNING" and time.monotonic() < until:
    time.sleep(0.05)
running = long.get_status()
long.cancel()
answer = {
    run.run_id: [run.wait(), run.get_status(), list(run.logs())] for run in (good, bad, long)
} | {"running": running}
"""
COMMAND_LINE = """
import click
started = []

@click.command()
@click.pass_context
def own(context):
    started.append(mlflow.projects.run(long, backend="mlp", env_manager="local", synchronous=False))

own([], standalone_mode=False)
answer = started[0].get_status()
started[0].cancel()
"""


@pytest.fixture
def inside(mlflow, desk, projects):
    """Runs pieces of a program that has imported MLflow."""
    project(projects / "long", "exec sleep 300", name="the long one")
    paths = {name: str(projects / name) for name in ("good", "bad", "long")}
    variables = {name: value for name, value in desk.variables().items() if name != "HOME"}
    return lambda code: mlflow.run(code, variables=variables, **paths)


def test_mlflow_s_function_gives_one_of_its_runs(inside, desk, projects):
    parent, run_id, *rest = inside(SYNCHRONOUS)

    assert rest == [True, "FINISHED", True]
    run = next(run for run in desk.runs() if run.run_id == run_id)
    assert (run.status, run.parameters) == ("FINISHED", {"name": "x", "rate": "2"})
    assert run.own_tags == {**tags(projects, "good"), "mlflow.parentRunId": parent}


def test_mlflow_s_function_raises_its_own_exception_with_our_message(inside, desk, projects):
    said = inside(FAILING)

    (run,) = desk.runs()
    assert said.startswith(f"Run (ID '{run.run_id}') failed: entry point main ended with exit status 3.")
    assert run.status == "FAILED"
    assert run.own_tags == tags(projects, "bad")


def test_runs_in_the_background_are_awaited_and_cancelled_by_mlflow_s_names(inside, desk, projects):
    answer = inside(BACKGROUND)

    good, bad, long = desk.runs()
    assert answer == {
        good.run_id: [True, "FINISHED", ["rate 0.1 name x"]],
        bad.run_id: [False, "FAILED", ["about to fail"]],
        long.run_id: [False, "KILLED", []],
        "running": "RUNNING",
    }
    assert [run.status for run in (good, bad, long)] == ["FINISHED", "FAILED", "KILLED"]
    assert good.name == "named"
    for run, name in ((good, "good"), (bad, "bad"), (long, "long")):
        assert run.own_tags == tags(projects, name)


def test_a_program_with_a_command_line_of_its_own_need_not_wait(inside, desk):
    assert inside(COMMAND_LINE) in {"SCHEDULED", "RUNNING"}

    assert [run.status for run in desk.runs()] == ["KILLED"]
