"""Help of commands with many options: in sections, each under a heading, those without one first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")

__all__ = ["SectionedCommand", "SectionedOption", "section"]


class SectionedOption(click.Option):
    """An option that says which section of the help it belongs to."""

    def __init__(self, *args: Any, section: str, **attributes: Any) -> None:  # noqa: ANN401 -- Click's own
        super().__init__(*args, **attributes)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help has its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def section(heading: str, *options: tuple[tuple[str, ...], dict[str, Any]]) -> Callable[[Command], Command]:
    """Add options to a command, under a heading.

    Args:
        heading: The section's.
        options: The names of each, and what else Click is told of it.
    """

    def add(function: Command) -> Command:
        for names, attributes in reversed(options):
            function = click.option(*names, cls=SectionedOption, section=heading, **attributes)(function)
        return function

    return add
