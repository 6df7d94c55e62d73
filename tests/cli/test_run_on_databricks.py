"""``mlp run -b databricks``: the seed's flags, what is printed where, exit statuses, and whoever interrupts it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.cli.program import MLP, commit, environment, git, project
from tests.servers.git_http import Accounts, serving

PATIENCE = 120.0
SPEC = '{"serverless": true, "poll_interval": 0.2}'
PASSWORD = "s3cret-pa55-w0rd"
HOLD = {"hold": True, "ending": "SUCCESS", "logs": "at its end\n"}


@pytest.fixture
def user(databricks, tmp_path):
    """The variables of a user who is logged in."""
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "DATABRICKS_HOST": databricks.url, "DATABRICKS_TOKEN": databricks.token}


@pytest.fixture
def scripted(databricks, tmp_path):
    """A project whose run does what is said, without any process."""

    def make(directives):
        databricks.script("scripted", directives)
        return project(tmp_path / "scripted", "true")

    return make


def mlp(*arguments, cwd=None, **variables):
    """Run mlp to its end. The first run on a machine installs what all of them need."""
    return subprocess.run(
        [MLP, *map(str, arguments)],
        cwd=cwd,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_first_mlflow_s_flags_run_a_private_repository_whose_password_goes_nowhere(databricks, user, tmp_path):
    work = project(tmp_path / "work", "python show.py {a}", parameters={"a": "string"}, name="wine")
    (work / "show.py").write_text("import sys\nprint(sys.argv[1:])\n")
    first = commit(work)
    (tmp_path / "served").mkdir()
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "served" / "wine.git"))
    (tmp_path / "c.json").write_text('{"spark_version": "16.4.x-scala2.12", "node_type_id": "x", "num_workers": 1}')

    with serving(tmp_path / "served", accounts=Accounts({"bob": PASSWORD})) as server:
        uri = f"{server.url}/wine.git"
        done = mlp(
            *("run", uri, "-m", "databricks", "--cluster-spec", "c.json", "-P", "a=b c", "-v", first),
            *("--git-username", "bob", "--git-password", PASSWORD),
            cwd=tmp_path,
            **user,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "['b c']\n"
    (run,) = databricks.runs()
    assert f"=== Launched MLflow run as Databricks job run with ID {run['run_id']}. Getting run status" in done.stderr
    assert re.search(r"^=== Check the run's status at http://127\.0\.0\.1:\S+ ===$", done.stderr, re.MULTILINE)
    assert re.search(r"^=== Run \(ID '[0-9a-f]{32}'\) succeeded ===$", done.stderr, re.MULTILINE)
    assert run["body"]["run_name"] == f"MLflow Run for {uri}"
    assert any(request.credentials for request in server.requests)
    secrets = (PASSWORD.encode(), user["DATABRICKS_TOKEN"].encode())
    everything = [path for path in (tmp_path / "databricks").rglob("*") if path.is_file()]
    everything += [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert everything
    assert [path for path in everything if any(secret in path.read_bytes() for secret in secrets)] == []
    assert not any(secret.decode() in done.stdout + done.stderr + repr(run) for secret in secrets)


@pytest.mark.parametrize(("ends", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_output_of_a_command_that_fails_is_printed_and_its_status_is_ours(user, tmp_path, ends, status):
    there = project(tmp_path / "p", "python fail.py")
    (there / "fail.py").write_text(f"print('so far', flush=True)\n{ends}\n")

    done = mlp("run", there, "-b", "databricks", "-c", SPEC, **user)

    assert done.returncode == status
    assert done.stdout == "so far\n"
    said = done.stderr.splitlines()[-1]
    assert re.match(r"Error: Run \(ID '[0-9a-f]{32}'\) failed: entry point main (ended with|was ended by) ", said)
    assert "Traceback" not in done.stderr


def test_an_error_of_a_script_within_the_driver_is_shown_with_its_place(user, tmp_path):
    there = project(tmp_path / "p")
    (there / "MLproject").write_text("databricks_spark_job: {python_file: fail.py}\n")
    (there / "fail.py").write_text("def train():\n    raise ValueError('no such wine')\n\ntrain()\n")

    done = mlp("run", there, "-b", "databricks", "-c", SPEC, **user)

    assert done.returncode == 1
    assert re.search(
        r"^Traceback .*in train$.*^Error: .*ValueError: no such wine$", done.stderr, re.DOTALL | re.MULTILINE
    )
    assert "bootstrap" not in done.stderr
    assert "runpy" not in done.stderr


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [
        ("SKIPPED", 1, "was never started"),
        ("INTERNAL_ERROR", 1, "could not be run"),
        ("TIMEDOUT", 1, "took longer than its limit"),
        ("CANCELED", 3, "was cancelled"),
    ],
)
def test_other_ends_have_a_status_and_a_word(user, scripted, ending, status, said):
    done = mlp("run", scripted(ending), "-b", "databricks", "-c", SPEC, **user)

    assert done.returncode == status
    assert re.search(rf"^Error: .*{said}", done.stderr, re.MULTILINE)


def test_no_wait_prints_the_run_s_id_and_nothing_else(databricks, user, scripted):
    done = mlp("run", scripted(HOLD), "-b", "databricks", "-c", SPEC, "--no-wait", **user)

    (run,) = databricks.runs()
    assert (done.returncode, done.stdout) == (0, f"{run['run_id']}\n")
    assert re.search(r"^  Look at it:  http\S+$", done.stderr, re.MULTILINE)
    assert f"  End it:      databricks jobs cancel-run {run['run_id']}  (the Databricks CLI)\n" in done.stderr
    assert run["phase"] != "ended"


@contextmanager
def started(databricks, user, there, **options):
    """mlp, waiting for a run that goes on."""
    running = subprocess.Popen(
        [MLP, "run", str(there), "-b", "databricks", "-c", SPEC], env=environment(**user), text=True, **options
    )
    with running:
        try:
            until(
                lambda: running.poll() is not None or [run for run in databricks.runs() if run["phase"] == "executing"]
            )
            yield running
        finally:
            running.kill()


def piped(databricks, user, there):
    return started(databricks, user, there, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def waits(running):
    """Read what mlp says until it waits for the run."""
    said = ""
    while "on Databricks: Running" not in said:
        line = running.stderr.readline()
        assert line, said
        said += line
    return said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_without_a_terminal_a_signal_leaves_the_run_alone_and_says_so(databricks, user, scripted, number, status):
    with piped(databricks, user, scripted(HOLD)) as running:
        waits(running)
        running.send_signal(number)
        _, said = running.communicate(timeout=PATIENCE)

    (run,) = databricks.runs()
    assert running.returncode == status
    assert f"Detached from run {run['run_id']} on Databricks, which goes on." in said
    assert f"databricks jobs cancel-run {run['run_id']}" in said
    assert "Traceback" not in said
    assert databricks.cancels == []


def test_an_outage_of_the_workspace_is_waited_through(databricks, user, scripted):
    with piped(databricks, user, scripted(HOLD)) as running:
        waits(running)
        databricks.stop()
        assert "cannot be read for now" in running.stderr.readline()
        databricks.start()
        (run,) = databricks.runs()
        databricks.release(run["run_id"])
        output, _ = running.communicate(timeout=PATIENCE)

    assert (running.returncode, output) == (0, "at its end\n")


def test_whoever_ends_mlp_while_it_submits_leaves_no_run(databricks, user, scripted):
    databricks.faults.add("hang", "runs/submit", after=True)
    there = scripted(HOLD)
    running = subprocess.Popen(
        [MLP, "run", str(there), "-b", "databricks", "-c", SPEC],
        env=environment(**user),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        until(lambda: running.poll() is not None or databricks.runs())
        running.terminate()
        output, said = running.communicate(timeout=PATIENCE)
    databricks.faults.clear()

    (run,) = databricks.runs()
    assert (running.returncode, output) == (143, ""), said
    assert [cancel["run_id"] for cancel in databricks.cancels] == [run["run_id"]]
    until(lambda: databricks.runs()[0]["phase"] == "ended")


class Terminal:
    """The other end of a terminal that mlp is started at."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._typed = ""
        self.text = ""

    def type(self, text):
        self._typed = text
        os.write(self._descriptor, text.encode())

    def insist(self):
        if self._typed == "\x03":
            os.write(self._descriptor, b"\x03")

    def read_until(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self._descriptor], [], [], 1)[0]:
                try:
                    self.text += os.read(self._descriptor, 4096).decode()
                except OSError:  # whoever was at the other end is gone
                    pytest.fail(self.text)


@contextmanager
def at_a_terminal(user, there):
    """mlp waiting for a run, with our end of its terminal; gives its exit status in the end."""
    statuses = []
    process, ours = pty.fork()
    if process == 0:
        os.execve(MLP, ["mlp", "run", str(there), "-b", "databricks", "-c", SPEC], environment(**user, TERM="xterm"))
    terminal = Terminal(ours)
    try:
        terminal.read_until("on Databricks: Running")
        yield terminal, statuses
        while True:
            if not select.select([ours], [], [], 2)[0]:
                # A signal that comes just before input() reads is seen with the next key: people press twice, too.
                terminal.insist()
                continue
            try:
                read = os.read(ours, 4096).decode()
            except OSError:
                break
            if not read:
                break
            terminal.text += read
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    except BaseException:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise
    finally:
        os.close(ours)


def test_ctrl_c_at_a_terminal_asks_and_yes_cancels(databricks, user, scripted):
    with at_a_terminal(user, scripted(HOLD)) as (terminal, statuses):
        terminal.type("\x03")
        terminal.read_until("Cancel the run on Databricks? [y/N]")
        assert databricks.cancels == []
        terminal.type("y\n")

    (run,) = databricks.runs()
    assert statuses == [130]
    assert run["phase"] == "ended"
    assert f"Run {run['run_id']} on Databricks was cancelled." in terminal.text
    assert f"Asking the workspace {databricks.url}" in terminal.text


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x03", "\x04"], ids=["no", "nothing", "ctrl-c", "end"])
def test_every_other_answer_leaves_the_run_alone(databricks, user, scripted, answer):
    with at_a_terminal(user, scripted(HOLD)) as (terminal, statuses):
        terminal.type("\x03")
        terminal.read_until("Cancel the run on Databricks? [y/N]")
        terminal.type(answer)

    (run,) = databricks.runs()
    assert statuses == [130]
    assert databricks.cancels == []
    assert f"databricks jobs cancel-run {run['run_id']}" in terminal.text
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(("answer", "said"), [("n\n", "has ended meanwhile"), ("y\n", "had ended before")])
def test_a_run_that_ends_before_the_answer_is_told_as_ended(databricks, user, scripted, answer, said):
    with at_a_terminal(user, scripted(HOLD)) as (terminal, statuses):
        terminal.type("\x03")
        terminal.read_until("Cancel the run on Databricks? [y/N]")
        databricks.release(databricks.runs()[0]["run_id"])
        until(lambda: databricks.runs()[0]["phase"] == "ended")
        terminal.type(answer)

    assert statuses == [0], terminal.text
    assert said in terminal.text
    assert "at its end" in terminal.text
    assert "Detached" not in terminal.text


def test_whoever_stops_cancelling_before_the_workspace_was_asked_is_told_how_to_end_the_run(databricks, user, scripted):
    with at_a_terminal(user, scripted(HOLD)) as (terminal, statuses):
        (run,) = databricks.runs()
        terminal.type("\x03")
        terminal.read_until("Cancel the run on Databricks? [y/N]")
        databricks.stop()
        terminal.type("y\n")
        terminal.read_until("cannot be cancelled for now")
        terminal.type("\x03")
    databricks.start()

    assert statuses == [130]
    assert "could not be asked yet to end the run" in terminal.text
    assert f"databricks jobs cancel-run {run['run_id']}" in terminal.text
    assert "was asked to end" not in terminal.text
    assert databricks.cancels == []


@pytest.mark.parametrize("asked", [False, True], ids=["while it waits", "while it asks"])
def test_a_terminal_that_is_closed_gives_the_status_of_its_signal(databricks, user, scripted, asked):
    there = scripted(HOLD)
    process, ours = pty.fork()
    if process == 0:
        os.execve(MLP, ["mlp", "run", str(there), "-b", "databricks", "-c", SPEC], environment(**user, TERM="xterm"))
    try:
        terminal = Terminal(ours)
        terminal.read_until("on Databricks: Running")
        if asked:
            terminal.type("\x03")
            terminal.read_until("Cancel the run on Databricks? [y/N]")
    finally:
        os.close(ours)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    assert status == 129
    assert databricks.cancels == []


def test_only_what_is_sent_is_said_to_be(user, scripted):
    there = scripted("SUCCESS")
    command = ("run", there, "-b", "databricks", "-c", SPEC, "--no-wait")

    denied = mlp(*command, **{**user, "DATABRICKS_TOKEN": "dapi-wrong"})
    first = mlp(*command, **user)
    second = mlp(*command, **user)

    assert denied.returncode != 0
    assert "Sending" not in denied.stderr
    assert (first.returncode, second.returncode) == (0, 0)
    assert "Sending 1 file, " in first.stderr
    assert "Sending" not in second.stderr
