"""The command ``mlp`` (and ``kubectl mlp``): what is typed, turned into calls of the Python API.

This module alone decides how a failure leaves the process: the message on stderr and the exit status. It must stay
light, since it is imported by every call, even by ``mlp --help`` and by shell completion; a command's own imports
stand in the command's module, and the heavy ones (Kubernetes, pydantic, Git) inside its functions.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from mlp.cli.application import COMMANDS, application
from mlp.cli.errors import ExitStatus, exit_status
from mlp.cli.program import program_name, speak_as_plugin, worded
from mlp.errors import MlpError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run one command and end the process with its status.

    Args:
        arguments: What follows the program's name; taken from the process when absent.
    """
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    if "_MLP_COMPLETE" in os.environ:
        from mlp.cli.completion import register  # noqa: PLC0415 -- only where a shell completes a word

        register()
    speak_as_plugin(COMMANDS)
    try:
        result = application.main(args=arguments, prog_name=program_name(), standalone_mode=False)
    except MlpError as error:
        _complain(str(error))
        return exit_status(error)
    except OSError as error:
        # The machine's own: a full disk, a directory that went away or may not be read.
        said = error.strerror or str(error)
        _complain(f"{error.filename}: {said}" if isinstance(error.filename, str) else said)
        return ExitStatus.FAILED
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.NoSuchOption):
            _point_to_parameters(error)
        return error.exit_code
    except click.Abort:
        return ExitStatus.INTERRUPTED
    # Click hands back the status of Context.exit() and whatever a command returns; our commands return nothing.
    return result if isinstance(result, int) else ExitStatus.OK


def _complain(message: str) -> None:
    """Say on stderr what was wrong. That nobody reads it any more (``2>&1 | head``) must not change the status."""
    with suppress(OSError):
        click.echo(worded(f"Error: {message}", COMMANDS), err=True)


def _point_to_parameters(error: click.NoSuchOption) -> None:
    """Somebody who knows a project's program gives its options to mlp: say how they become parameters."""
    name = error.option_name.removeprefix("--")
    takes_parameters = error.ctx is not None and any(option.name == "parameters" for option in error.ctx.command.params)
    if takes_parameters and name != error.option_name:
        click.echo(f"A parameter of the project is given with -P {name}=VALUE.", err=True)
