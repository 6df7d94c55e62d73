"""The command line before any command: help, version, what is imported, how failures leave the process."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from importlib.metadata import version

import click
import pytest

from mlp.cli import main
from mlp.cli.application import COMMANDS, LazyCommand, LazyGroup
from mlp.cli.errors import exit_status
from mlp.cli.progress import show_progress
from mlp.errors import (
    AuthenticationFailed,
    FieldNotSupported,
    ParameterMissing,
    RunFailed,
    SourceUnavailable,
    UsageError,
)
from tests.cli.program import EXAMPLES, MLP, environment, mlp

CLIENTS = {"kubernetes", "boto3", "mlflow", "databricks", "requests"}
HEAVY = {*CLIENTS, "pydantic", "git", "yaml", "kopf", "subprocess", "asyncio"}


def imported_by(*arguments: str) -> set[str]:
    """The top-level modules that a call has imported when it ends."""
    return imported_in(f"from mlp.cli import main; main({list(arguments)!r})")


def imported_in(statement: str) -> set[str]:
    """The same for a program of one statement."""
    program = (
        f"import json, sys\ntry: exec({statement!r})\n"
        "finally: print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_lists_every_command_and_the_exit_statuses():
    done = mlp("--help")

    assert done.returncode == 0
    for name, command in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert command.summary in done.stdout
    assert "130" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_and_version_import_nothing_heavy(arguments):
    assert imported_by(*arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "statement", ["import mlp", "import mlp; mlp.run; mlp.run_manifest; mlp.projects; mlp.tracking"]
)
def test_a_program_that_imports_mlp_loads_no_client_of_anything(statement):
    assert imported_in(statement).isdisjoint(CLIENTS)


def test_a_local_run_imports_no_client_of_a_cluster_and_no_models(tmp_path):
    (tmp_path / "hello.sh").write_text("true\n")

    imported = imported_by("run", str(tmp_path), "-e", "hello.sh")

    assert imported.isdisjoint({"kubernetes", "boto3", "mlflow", "databricks", "pydantic", "git", "kopf"})


def test_completing_a_command_imports_none():
    group = LazyGroup(name="mlp", lazy={"submit": LazyCommand("no.such.module:command", "Have a cluster run it.")})

    completed = group.shell_complete(click.Context(group), "sub")

    assert [(item.value, item.help) for item in completed] == [("submit", "Have a cluster run it.")]


def test_bash_completes_commands():
    done = subprocess.run(
        [MLP],
        env=environment(_MLP_COMPLETE="bash_complete", COMP_WORDS="mlp sub", COMP_CWORD="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "plain,submit\n"


def test_version_is_the_distribution_s():
    assert mlp("--version").stdout == f"mlp {version('mlp-operator')}\n"


def test_a_misspelt_command_is_a_usage_error_with_a_suggestion():
    done = mlp("sumbit")

    assert done.returncode == 2
    assert "No such command 'sumbit'. Did you mean 'submit'?" in done.stderr


def test_an_unknown_command_is_told_what_there_is():
    done = mlp("xyzzy")

    assert done.returncode == 2
    assert "The commands are: run, validate, submit, " in done.stderr


def test_every_command_of_the_table_can_be_loaded_and_has_a_help_text():
    for name, command in COMMANDS.items():
        loaded = command.load()
        assert isinstance(loaded, click.Command), name
        assert loaded.help, name


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RunFailed("x", status=7), 7),
        (UsageError("x"), 2),
        (FieldNotSupported("x"), 2),
        (AuthenticationFailed("x"), 4),
        (ParameterMissing("x"), 1),
        (SourceUnavailable("x"), 1),
    ],
)
def test_errors_become_exit_statuses(error, status):
    assert exit_status(error) == status


@pytest.fixture
def failing(monkeypatch):
    """The application with one command that raises what it is told to."""

    def install(error: BaseException) -> None:
        @click.command()
        def fail() -> None:
            raise error

        monkeypatch.setattr(LazyCommand, "load", lambda _self: fail)
        monkeypatch.setattr("mlp.cli.application", LazyGroup(name="mlp", lazy=COMMANDS))

    return install


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (AuthenticationFailed("The server wants a password."), 4, "Error: The server wants a password.\n"),
        (click.UsageError("No."), 2, "Error: No.\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_of_a_command_ends_the_process_with_a_message_and_a_status(failing, capsys, error, status, shown):
    failing(error)

    with pytest.raises(SystemExit) as ended:
        main(["run"])

    assert ended.value.code == status
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith(shown)
    assert "Traceback" not in output.err


def test_a_reader_that_goes_away_gets_no_traceback():
    done = subprocess.run(
        ["bash", "-c", f"{MLP} --help | true; exit 0"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""


def test_as_a_plugin_of_kubectl_usage_lines_say_kubectl():
    plugin = MLP.replace("/mlp", "/kubectl-mlp")

    done = subprocess.run([plugin, "run"], env=environment(), capture_output=True, text=True, timeout=60, check=False)

    assert "Usage: kubectl mlp run" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["env", "list"], {"MLP_ENV_ROOT": "~nobody-has-this-name/envs"}, "Name another place in MLP_ENV_ROOT"),
        (
            ["run", str(EXAMPLES / "two_steps")],
            {
                "DATABRICKS_CONFIG_FILE": "~nobody-has-this-name/profiles",
                "MLFLOW_TRACKING_URI": "databricks://mine",
                "MLP_TRACKING": "on",
            },
            "There is no profile 'mine'",
        ),
    ],
)
def test_a_home_directory_that_there_is_not_is_an_error_of_one_line(arguments, variables, message):
    """As for the user of a pod whom nobody has named; a path shows the same without being one."""
    done = mlp(*arguments, **variables)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_said_of_progress_makes_room_for_the_error(monkeypatch):
    library = logging.getLogger("mlp")
    for name in ("handlers", "level", "propagate"):
        monkeypatch.setattr(library, name, getattr(library, name))
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen, os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with click.Context(click.Command("run")):
            show_progress()
            logging.getLogger("mlp.data").info("half of it", extra={"transient": True})
        terminal.write("Error: cut off")
        terminal.flush()
        said = b""
        while b"cut off" not in said:
            said += screen.read(4096)

    assert said.endswith(b"half of it\r\x1b[KError: cut off")
