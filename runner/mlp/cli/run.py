"""``mlp run``: a project on this machine."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from mlp.cli.parameters import project_options

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["command"]


@click.command()
@project_options
@click.option(
    "-f",
    "--file",
    "manifest",
    metavar="FILE",
    help="Run what the ProjectRun in this YAML file describes; '-' is standard input. URI and the other options take "
    "precedence over what stands there.",
)
@click.option(
    "--env-manager",
    metavar="NAME",
    help="'local': the current environment, whatever the project declares.  [default: what the project declares]",
)
@click.option("--no-conda", is_flag=True, help="The same as --env-manager local.")
@click.option("--no-param-validation", is_flag=True, help="Do not check values against their declared types.")
def command(
    uri: str | None,
    *,
    entry_point: str | None,
    version: str | None,
    parameters: dict[str, str],
    manifest: str | None,
    env_manager: str | None,
    no_conda: bool,
    no_param_validation: bool,
) -> None:
    """Run a project on this machine.

    URI is a Git repository (https://…, ssh://…, user@host:path) or a directory; '#subdirectory' may follow. The
    command's output and exit status are its own; what mlp has to say goes to stderr.
    """
    if uri is None and manifest is None:
        raise click.UsageError("Missing argument 'URI'. Give a project's URI, or a ProjectRun with -f FILE.")
    if no_conda and env_manager not in {None, "local"}:
        raise click.UsageError(f"--no-conda means --env-manager local, and --env-manager {env_manager} was given too.")
    from mlp.backends import local  # noqa: PLC0415 -- after the command line is known to be right
    from mlp.cli.progress import show_progress  # noqa: PLC0415

    show_progress()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What is ignored stays ignored, as under nohup.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    chosen = "local" if no_conda else env_manager
    if manifest is not None:
        local.run_manifest(
            manifest,
            uri=uri,
            entry_point=entry_point,
            version=version,
            parameters=parameters,
            env_manager=chosen,
            validate=not no_param_validation,
        )
    elif uri is not None:
        local.run(
            uri,
            entry_point or "main",
            version,
            parameters,
            env_manager=chosen,
            validate=not no_param_validation,
        )


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """End by unwinding, so that a half-fetched project is removed. While the command runs, it gets the signals."""
    sys.exit(128 + number)
