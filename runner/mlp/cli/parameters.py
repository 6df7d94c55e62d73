"""``-P NAME=VALUE``, for every command that takes a project's parameters. The messages are MLflow's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Command = TypeVar("Command", bound="Callable[..., Any]")

__all__ = ["parameters_option", "parse_parameters"]


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


def parameters_option(function: Command) -> Command:
    """Add ``-P/--param-list`` to a command; it arrives as ``parameters``, a dict."""
    return click.option(
        "-P",
        "--param-list",
        "parameters",
        metavar="NAME=VALUE",
        multiple=True,
        callback=lambda _context, _option, given: parse_parameters(given),
        help="A parameter of the entry point. Give the option once for each parameter.",
    )(function)
