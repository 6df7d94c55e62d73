"""Interrupting and ending ``mlp run``: the command gets the signal, nothing of it is left, the status says what was."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.program import MLP, environment, project
from tests.processes import running_in

STAYS = "echo $$ > pid; sleep 300 & echo $! > second; echo ready; wait; echo after"


@contextmanager
def started(directory: Path, *, variables: dict[str, str] | None = None, **options):
    """A run that has said that it is ready."""
    running = subprocess.Popen(
        [MLP, "run", str(directory)],
        env=environment(**(variables or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        **options,
    )
    with running:
        try:
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def alive(process: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def recorded(directory: Path, name: str = "pid") -> int:
    return int((directory / name).read_text())


def test_ctrl_c_ends_every_process_of_the_command_and_gives_130(tmp_path):
    project(tmp_path, STAYS)

    with started(tmp_path) as running:
        # What a terminal does: the whole foreground group gets the signal. The command is in another one.
        os.killpg(running.pid, signal.SIGINT)
        output, error = running.communicate(timeout=30)

    assert running.returncode == 130
    assert "after" not in output
    assert "Traceback" not in error
    assert not alive(recorded(tmp_path))
    assert not alive(recorded(tmp_path, "second"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_another_signal_is_passed_on_and_orphans_nothing(tmp_path, number, status):
    project(tmp_path, STAYS)

    with started(tmp_path) as running:
        running.send_signal(number)
        _, error = running.communicate(timeout=30)

    assert running.returncode == status
    assert f"was ended by {number.name}" in error
    assert not alive(recorded(tmp_path))
    assert not alive(recorded(tmp_path, "second"))


def test_a_command_may_take_its_time_to_end_and_its_own_status_counts(tmp_path):
    project(tmp_path, "trap 'sleep 0.5; echo saved; exit 9' TERM; echo ready; while :; do sleep 0.05; done")

    with started(tmp_path) as running:
        running.terminate()
        output, _ = running.communicate(timeout=30)

    assert output == "saved\n"
    assert running.returncode == 9


def test_what_outlives_its_shell_is_waited_for(tmp_path):
    """The shell dies of SIGTERM at once; the program that it started writes its checkpoint first."""
    (tmp_path / "train.py").write_text(
        "import pathlib, signal, sys, time\n"
        "def save(*_):\n    time.sleep(0.5)\n    pathlib.Path('checkpoint').touch()\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\nprint('ready', flush=True)\ntime.sleep(300)\n"
    )
    project(tmp_path, "python train.py; true")

    with started(tmp_path) as running:
        running.terminate()
        running.communicate(timeout=30)

    assert running.returncode == 143
    assert (tmp_path / "checkpoint").exists()


def test_a_run_within_a_run_is_killed_while_the_outer_one_still_waits_for_it(tmp_path):
    """Whoever ends the outer one kills ``mlp`` in it after ten seconds, which then could end nothing any more."""
    project(tmp_path, "trap '' TERM; echo $$ > pid; echo ready; while :; do sleep 0.1; done")

    with started(tmp_path, variables={"MLP_GRACE": "0.5"}) as running:
        running.terminate()
        _, error = running.communicate(timeout=60)

    assert running.returncode == 137
    assert "memory" not in error
    assert not running_in(recorded(tmp_path))


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    project(tmp_path, "echo ready; sleep 0.6; echo done")

    with started(tmp_path, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as running:
        running.send_signal(signal.SIGHUP)
        output, _ = running.communicate(timeout=30)

    assert output == "done\n"
    assert running.returncode == 0


@contextmanager
def at_a_terminal(program: str, directory: Path):
    """An interactive shell's job: a session of its own whose controlling terminal we hold the other end of."""
    ours, theirs = pty.openpty()
    # The first terminal that the leader of a session opens becomes the one that controls it.
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-c", f"exec 0<>{os.ttyname(theirs)} 1>&0 2>&0; {program}"],
        cwd=directory,
        env=environment(),
        start_new_session=True,
    )
    with shell:
        try:
            yield Terminal(ours)
            shell.wait(20)
        finally:
            shell.kill()
            os.close(ours)
            os.close(theirs)


class Terminal:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def read_until(self, text: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.text:
            readable, _, _ = select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"{text!r} did not come; there is {self.text!r}"
            self.text += os.read(self.descriptor, 4096).decode()


def test_a_command_can_ask_a_question_at_a_terminal(tmp_path):
    (tmp_path / "ask.py").write_text("print('Hello, ' + input('Your name? ') + '.')")
    project(tmp_path, "python ask.py")

    with at_a_terminal(f"{MLP} run .; echo status $?", tmp_path) as terminal:
        terminal.read_until("Your name? ")
        terminal.type("Ann\n")
        terminal.read_until("Hello, Ann.")
        terminal.read_until("status 0")


def test_ctrl_c_at_a_terminal_interrupts_the_command(tmp_path):
    project(tmp_path, "echo ready; sleep 300; touch after")

    with at_a_terminal(f"trap : INT; {MLP} run .; echo status $?", tmp_path) as terminal:
        terminal.read_until("\r\nready\r\n")
        terminal.type("\x03")
        terminal.read_until("status 130")

    assert not (tmp_path / "after").exists()


def test_ctrl_z_at_a_terminal_stops_the_job_and_fg_goes_on_with_it(tmp_path):
    # In a file: the line that shows the command must not look like the questions.
    (tmp_path / "ask.sh").write_text('read -r -p "First? " a; read -r -p "Second? " b; echo "$a and $b."')
    project(tmp_path, "bash ask.sh")

    with at_a_terminal(f"set -m; {MLP} run .; echo stopped $?; sleep 0.2; fg; echo status $?", tmp_path) as terminal:
        terminal.read_until("First? ")
        terminal.type("one\n")
        terminal.read_until("Second? ")
        terminal.type("\x1a")
        terminal.read_until("stopped 148")
        time.sleep(0.4)
        terminal.type("two\n")
        terminal.read_until("one and two.")
        terminal.read_until("status 0")


def test_a_job_in_the_background_stops_when_it_reads_from_the_terminal(tmp_path):
    project(tmp_path, 'read -r line; echo "read $line"')
    stopped = "until jobs > jobs; grep Stopped jobs; do sleep 0.1; done"

    with at_a_terminal(f"set -m; {MLP} run . & {stopped}; fg; echo status $?", tmp_path) as terminal:
        terminal.read_until("Stopped")
        time.sleep(0.4)
        terminal.type("something\n")
        terminal.read_until("read something")
        terminal.read_until("status 0")


def test_a_pager_behind_a_pipe_keeps_the_terminal(tmp_path):
    project(tmp_path, "while [ ! -e seen ]; do sleep 0.05; done; echo done")
    (tmp_path / "pager.sh").write_text("read -r key < /dev/tty; echo pressed $key; touch seen; cat")

    with at_a_terminal(f"set -m; {MLP} run . | bash pager.sh; echo status $?", tmp_path) as terminal:
        terminal.read_until("=== Running")
        time.sleep(0.3)
        terminal.type("space\n")
        terminal.read_until("pressed space")
        terminal.read_until("\r\ndone\r\n")
        terminal.read_until("status 0")


def test_a_command_in_front_of_a_pipe_can_ask_at_the_terminal_too(tmp_path):
    (tmp_path / "ask.sh").write_text('read -r -p "Really? " answer; echo "You said $answer."')
    project(tmp_path, "bash ask.sh")

    with at_a_terminal(f"set -m; {MLP} run . | cat; echo status $?", tmp_path) as terminal:
        terminal.read_until("Really? ")
        terminal.type("yes\n")
        terminal.read_until("You said yes.")
        terminal.read_until("status 0")


def test_a_terminal_that_goes_away_ends_the_run_as_a_signal_does(tmp_path):
    project(tmp_path, "echo ready; sleep 300")
    process, terminal = pty.fork()
    if process == 0:
        os.execve(MLP, ["mlp", "run", str(tmp_path)], environment())

    said = b""
    while b"\nready\r\n" not in said:
        said += os.read(terminal, 4096)
    deadline = time.monotonic() + 60
    while os.tcgetpgrp(terminal) == process and time.monotonic() < deadline:
        time.sleep(0.02)  # until the command has it
    os.close(terminal)
    _, status = os.waitpid(process, 0)

    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
