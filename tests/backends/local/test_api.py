"""``mlp.run`` and ``mlp.run_manifest``: the Python API of runs on this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import mlp
from mlp.errors import EntryPointNotFound, RunFailed
from mlp.resources import ProjectRun
from tests.cli.program import commit, environment, project
from tests.processes import running_in


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def test_the_names_of_the_package_are_imported_when_they_are_used():
    program = "import sys, mlp\nassert not {'mlp.backends', 'mlp.errors'} & set(sys.modules)\nprint(mlp.run, dir(mlp))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert all(name in done.stdout for name in mlp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        _ = mlp.rum


def test_a_run_that_is_waited_for_has_finished(tmp_path, capfd):
    run = mlp.run(project(tmp_path, "echo done"))

    assert capfd.readouterr().out == "done\n"
    assert (run.wait(), run.get_status(), list(run.logs())) == (True, "FINISHED", [])
    assert len(run.run_id) == 32
    run.cancel()


def test_values_that_are_no_text_become_text(tmp_path, capfd):
    mlp.run(project(tmp_path, "echo"), parameters={"alpha": 0.5, "flag": True, "path": Path("/x")})

    assert capfd.readouterr().out == "--alpha 0.5 --flag True --path /x\n"


def test_a_run_that_fails_raises_its_exit_status(tmp_path):
    with pytest.raises(RunFailed, match=r"Run \(ID '[0-9a-f]{32}'\) failed: .* exit status 3") as failed:
        mlp.run(project(tmp_path, "exit 3"))

    assert failed.value.status == 3


def test_a_run_that_a_signal_ended_raises_what_a_shell_would_say(tmp_path):
    with pytest.raises(RunFailed, match="SIGTERM") as failed:
        mlp.run(project(tmp_path, "kill -TERM $$"))

    assert failed.value.status == 143


def test_ctrl_c_interrupts_the_program_that_waits(tmp_path):
    project(tmp_path, "kill -INT $PPID; sleep 300")
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        mlp.run(tmp_path)

    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_handler_that_raises_leaves_no_command_behind(tmp_path):
    def too_late(_number, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(TimeoutError):
            mlp.run(project(tmp_path, "echo $$ > pid; sleep 300; true"))
    finally:
        signal.signal(signal.SIGALRM, before)

    assert not running_in(int((tmp_path / "pid").read_text()))


def test_runs_can_be_made_in_other_threads(tmp_path):
    project(tmp_path, "exit 4")
    failures = []

    def attempt():
        try:
            mlp.run(tmp_path)
        except RunFailed as error:
            failures.append(error.status)

    threads = [threading.Thread(target=attempt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == [4, 4, 4]


def test_a_run_in_the_background_is_followed_to_its_end(tmp_path):
    project(tmp_path, "echo one; echo two >&2; while [ ! -e go ]; do sleep 0.02; done; printf 'thr\\xffee'")

    run = mlp.run(tmp_path, synchronous=False)
    lines = run.logs(follow=True)

    assert (next(lines), next(lines)) == ("one", "two")
    assert run.get_status() == "RUNNING"
    (tmp_path / "go").touch()
    assert list(lines) == ["thr\ufffdee"]
    assert run.wait()
    assert run.get_status() == "FINISHED"
    assert list(run.logs()) == ["one", "two", "thr\ufffdee"]


def test_logs_without_follow_end_at_what_is_there(tmp_path):
    run = mlp.run(project(tmp_path, "echo one; sleep 300"), synchronous=False)
    try:
        deadline = time.monotonic() + 60
        while not list(run.logs()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(run.logs()) == ["one"]
        assert run.get_status() == "RUNNING"
    finally:
        run.cancel()


def test_a_run_in_the_background_that_fails_raises_nothing(tmp_path):
    run = mlp.run(project(tmp_path, "exit 3"), synchronous=False)

    assert not run.wait()
    assert (run.get_status(), run.exit_status) == ("FAILED", 3)


def test_a_mistake_is_raised_at_once_in_the_background_too(tmp_path):
    with pytest.raises(EntryPointNotFound):
        mlp.run(project(tmp_path, "true"), "man", synchronous=False)


def test_cancelling_ends_every_process_and_removes_what_was_fetched(tmp_path, monkeypatch):
    work = project(tmp_path / "work", f"echo $$ > {tmp_path}/pid; sleep 300 & sleep 300; true")
    commit(work)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    run = mlp.run(f"file://{work}", version="main", synchronous=False)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)

    began = time.monotonic()
    run.cancel()

    assert time.monotonic() - began < 30
    assert run.get_status() == "KILLED"
    assert not run.wait()
    assert not list((tmp_path / "tmp").iterdir())
    run.cancel()


def test_a_command_that_ignores_sigterm_is_killed_after_its_grace(tmp_path, monkeypatch):
    monkeypatch.setattr("mlp.backends.local.process.GRACE", 0.3)
    run = mlp.run(project(tmp_path, "trap '' TERM; echo ready; while :; do sleep 0.05; done"), synchronous=False)
    assert next(run.logs(follow=True)) == "ready"

    run.cancel()

    assert (run.get_status(), run.exit_status) == ("KILLED", -9)


def test_a_program_that_ends_waits_for_its_runs_in_the_background(tmp_path):
    project(tmp_path, "sleep 0.3; touch finished")
    program = "import mlp, sys; mlp.run(sys.argv[1], synchronous=False)"

    subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=60, check=True)

    assert (tmp_path / "finished").exists()


def test_a_program_that_is_interrupted_ends_its_runs_in_the_background(tmp_path):
    project(tmp_path, "echo $$ > pid; mv pid ready; sleep 300; touch finished")
    program = "import mlp, sys; mlp.run(sys.argv[1], synchronous=False)"

    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        running.wait(30)

    assert not running_in(int((tmp_path / "ready").read_text()))
    assert not (tmp_path / "finished").exists()


FORKS = """
import multiprocessing, sys, time, mlp

def work(connection):
    connection.send("ready")
    time.sleep(300)

run = mlp.run(sys.argv[1], synchronous=False)
next(run.logs(follow=True))
context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
worker = context.Process(target=work, args=(theirs,))
worker.start()
# One that is signalled before Python has noticed that it is a child loses the signal, with any handler.
ours.recv()
worker.terminate()
worker.join(60)
print(worker.exitcode, run.get_status())
worker.kill()
run.cancel()
"""


def test_a_forked_worker_that_is_ended_does_not_end_its_parent_s_runs(tmp_path):
    project(tmp_path, "echo ready; sleep 300")

    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path)], stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )

    assert done.stdout == "-15 RUNNING\n"


BEHIND = """
import sys, mlp
behind = mlp.run(sys.argv[1], "behind", synchronous=False)
next(behind.logs(follow=True))
mlp.run(sys.argv[1], "before")
print("went on")
"""


@pytest.mark.parametrize(("trap", "status"), [("- TERM", 143), ("'exit 0' TERM", 0)])
def test_a_signal_during_a_run_that_is_waited_for_ends_the_program_and_its_runs_in_the_background(
    tmp_path, trap, status
):
    commands = {"before": f"trap {trap}; echo ready; sleep 300 & wait", "behind": "echo $$ > pid; echo; sleep 300"}
    entry_points = {name: {"command": command} for name, command in commands.items()}
    (tmp_path / "MLproject").write_text(str({"entry_points": entry_points}))

    with subprocess.Popen([sys.executable, "-c", BEHIND, str(tmp_path)], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "ready\n"
        driver.terminate()
        said, _ = driver.communicate(timeout=60)

    assert (driver.returncode, said) == (status, "")
    assert not running_in(int((tmp_path / "pid").read_text()))


AT_THE_END = """
import threading
from mlp.backends.local.side_by_side import side_by_side

def prepare():
    threading.main_thread().join()
    side_by_side([lambda: print("data"), lambda: None], threading.Event())

threading.Thread(target=prepare).start()
"""


def test_a_run_is_prepared_although_the_program_has_come_to_its_end():
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=60, check=True)

    assert (done.stdout, done.stderr) == ("data\n", "")


def test_a_manifest_runs_from_a_path_and_from_a_model(tmp_path, capfd):
    project(tmp_path / "p", "echo {alpha}", parameters={"alpha": "float"})
    run = {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": "sample"},
        "spec": {"project": {"uri": "https://git.example.com/p.git"}, "parameters": [{"name": "alpha", "value": "1"}]},
    }
    (tmp_path / "run.yaml").write_text(str(run))

    assert mlp.run_manifest(tmp_path / "run.yaml", uri=tmp_path / "p").get_status() == "FINISHED"
    assert mlp.run_manifest(ProjectRun.parse(run), uri=tmp_path / "p", parameters={"alpha": 2}).wait()
    assert capfd.readouterr().out == "1\n2\n"
