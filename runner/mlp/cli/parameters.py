"""Which project, which entry point, which parameters: the same for every command. The messages are MLflow's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlp.cli.candidates import directories, entry_points, parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Command = TypeVar("Command", bound="Callable[..., Any]")

__all__ = ["parse_docker_arguments", "parse_parameters", "project_options"]


def parse_parameters(arguments: Iterable[str]) -> dict[str, str]:
    """Parameters by name, in the order given. A value holds whatever follows the first ``=``.

    Raises:
        click.UsageError: An argument without a name or without ``=``, or a name given twice.
    """
    parameters: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise click.UsageError(f"Invalid format for -P parameter: '{argument}'. Use -P name=value.")
        if name in parameters:
            raise click.UsageError(f"Repeated parameter: '{name}'")
        parameters[name] = value
    return parameters


def parse_docker_arguments(arguments: Iterable[str]) -> dict[str, str | bool]:
    """Options of the container engine by name; True for one without a value.

    Raises:
        click.UsageError: An option given twice.
    """
    options: dict[str, str | bool] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not name:
            raise click.UsageError(f"Invalid format for -A parameter: '{argument}'. Use -A name=value, or -A name.")
        if name in options:
            raise click.UsageError(f"Repeated parameter: '{name}'")
        options[name] = value if equals else True
    return options


def project_options(function: Command) -> Command:
    """Add what every command says of a project: URI, ``-e``, ``-v`` and ``-P``, which arrives as a dict.

    They arrive as ``uri``, ``entry_point``, ``version`` and ``parameters``.
    """
    decorators = (
        click.argument("uri", required=False, shell_complete=directories),
        click.option(
            "-e",
            "--entry-point",
            metavar="NAME",
            shell_complete=entry_points,
            help="An entry point of the MLproject file, or a .py or .sh file by its path in the project.  "
            "[default: main]",
        ),
        click.option("-v", "--version", metavar="VERSION", help="The branch, tag or commit to run."),
        click.option(
            "-P",
            "--param-list",
            "parameters",
            metavar="NAME=VALUE",
            multiple=True,
            callback=lambda _context, _option, given: parse_parameters(given),
            shell_complete=parameters,
            help="A parameter of the entry point. Give the option once for each parameter.",
        ),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
