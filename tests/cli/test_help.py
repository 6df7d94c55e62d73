"""What --help teaches, and what a wrong option is told: every example is a call that the command takes."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from mlp.cli.application import COMMANDS
from tests.cli.program import mlp

WIDTH = 80


def examples(name: str) -> list[list[str]]:
    """The arguments in the examples of a command's help."""
    _, _, shown = mlp(name, "--help", COLUMNS=str(WIDTH)).stdout.partition("Examples:\n")
    calls = [line.strip() for line in shown.splitlines() if not line.strip().startswith("#")]
    found = [re.search(r"\bmlp ([^|>)]+)", call) for call in calls if call]
    assert all(found), calls
    return [shlex.split(match[1])[1:] for match in found if match and shlex.split(match[1])[0] == name]


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name].load().epilog])
def test_every_example_is_a_call_that_the_command_takes(name):
    command = COMMANDS[name].load()
    calls = examples(name)

    assert len(calls) >= 2
    for arguments in calls:
        command.make_context(name, arguments).close()


@pytest.mark.parametrize("name", [*COMMANDS, ""])
def test_help_fits_into_80_columns(name):
    shown = mlp(*filter(None, [name]), "--help", COLUMNS=str(WIDTH)).stdout

    assert [line for line in shown.splitlines() if len(line) > WIDTH] == []


def test_the_program_s_own_help_says_where_to_start():
    shown = mlp("--help", COLUMNS=str(WIDTH)).stdout

    start = shown.partition("Start here:\n")[2].partition("\n\n")[0].splitlines()
    assert len(start) > 3
    for line in start:
        words = line.split()
        assert words[0] == "mlp"
        assert words[1] in {*COMMANDS, "COMMAND"}


def test_commands_that_take_examples_do_so_all_the_same_way():
    assert {name for name in COMMANDS if not COMMANDS[name].load().epilog} <= {"env"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--entrypoint", "x"], "No such option '--entrypoint'. Did you mean '--entry-point'?"),
        (["logs", "--folow", "x"], "Did you mean '--follow'?"),
        (["run", ".", "--alpha", "0.5"], "A parameter of the project is given with -P alpha=VALUE."),
        (["submit", "--n_estimators=5", "x"], "A parameter of the project is given with -P n_estimators=VALUE."),
    ],
)
def test_an_unknown_option_is_told_what_was_probably_meant(arguments, said):
    done = mlp(*arguments)

    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("arguments", [["get", "--alpha", "x"], ["run", "-X"], ["run"]])
def test_parameters_are_not_spoken_of_where_something_else_was_meant(arguments):
    assert "A parameter of the project" not in mlp(*arguments).stderr


def test_an_example_that_no_command_takes_would_be_noticed():
    with pytest.raises(click.UsageError):
        COMMANDS["logs"].load().make_context("logs", ["--no-such-option", "x"])
