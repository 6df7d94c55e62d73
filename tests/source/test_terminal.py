"""On a laptop Git may ask its user, where there is a terminal to ask on."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time

import pytest

from tests.servers import git_http

PROGRAM = """
import os, sys
from mlp.source import Access, Git
try:
    print("resolved", Git(Access.ambient(), timeout=20).resolve(sys.argv[1], "main").commit)
except KeyboardInterrupt:
    print("interrupted")
print("foreground again" if os.tcgetpgrp(0) == os.getpgrp() else "still in the background")
"""


class Terminal:
    """A program of ours on a terminal of its own."""

    def __init__(self, uri):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", PROGRAM, uri])
        self.shown = ""

    def wait_for(self, words):
        deadline = time.monotonic() + 20
        while words not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.descriptor, 4096).decode()
                except OSError:  # the other end is closed
                    break
        assert words in self.shown

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        finally:
            os.waitpid(self.pid, 0)
            os.close(self.descriptor)


@pytest.fixture
def server(repository):
    accounts = git_http.Accounts({"bob": "hunter2"})
    with git_http.serving(repository.path.parent, accounts=accounts) as server:
        yield server


@pytest.fixture
def terminal(server):
    terminal = Terminal(f"{server.url}/project")
    yield terminal
    terminal.close()


def test_the_user_is_asked_and_the_answer_counts(terminal, repository):
    commit = repository.commit({"x": "1"})
    terminal.wait_for("Username for")
    terminal.type("bob\n")
    terminal.wait_for("Password for")
    terminal.type("hunter2\n")
    terminal.wait_for(f"resolved {commit}")
    terminal.wait_for("foreground again")
    assert "hunter2" not in terminal.shown


def test_control_c_at_the_question_interrupts_us(terminal, repository):
    repository.commit({"x": "1"})
    terminal.wait_for("Username for")
    terminal.type("\x03")
    terminal.wait_for("interrupted")
    terminal.wait_for("foreground again")
