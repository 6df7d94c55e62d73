"""Whose line is whose, where steps go on side by side: readers of the log are told the steps apart by it."""

from __future__ import annotations

import threading

from mlp.backends.kubernetes.log_lines import Writer
from mlp.steps.progress import Progress, say, speak_for


def test_a_step_that_is_not_alone_puts_its_name_before_each_line(capsys):
    def speak() -> None:
        speak_for("data")
        say("=== Step data ===")
        progress = Progress("Downloading")
        teller = threading.Thread(target=progress.step, args=("half",))
        teller.start()
        teller.join()
        say("two\nlines")

    step = threading.Thread(target=speak)
    step.start()
    step.join()
    say("mine")

    written = capsys.readouterr().out.splitlines()
    assert written == [
        "[data] === Step data ===",
        "[data] Downloading: half",
        "[data] two",
        "[data] lines",
        "mine",
    ]
    reader = Writer("prepare")
    assert [reader.read(line)[0] for line in written] == ["data", "data", "data", "data", "clone"]
