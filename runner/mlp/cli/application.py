"""The group of commands, and where each of them is found.

Commands are named in a table, with the line that ``mlp --help`` shows, so that a call imports the one module that it
runs and ``--help`` imports none. A command lives in the module of its name, as ``command``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import click

from mlp import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.shell_completion import CompletionItem

__all__ = ["COMMANDS", "LazyCommand", "LazyGroup", "application"]


class LazyCommand(NamedTuple):
    """A command that has not been imported."""

    target: str
    """``module:attribute``"""
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        return cast("click.Command", getattr(import_module(module), attribute))


COMMANDS: Final[Mapping[str, LazyCommand]] = {
    "run": LazyCommand("mlp.cli.run:command", "Run a project here, on this machine."),
    "validate": LazyCommand("mlp.cli.validate:command", "Find what is wrong with a project or a ProjectRun."),
    "submit": LazyCommand("mlp.cli.submit:command", "Have a cluster run a project."),
    "list": LazyCommand("mlp.cli.list:command", "List the runs in a cluster."),
    "describe": LazyCommand("mlp.cli.describe:command", "Tell everything about a run, and what to do next."),
    "get": LazyCommand("mlp.cli.get:command", "Show one run."),
    "logs": LazyCommand("mlp.cli.logs:command", "Print what a run wrote."),
    "wait": LazyCommand("mlp.cli.wait:command", "Wait until a run has ended."),
    "cp": LazyCommand("mlp.cli.cp:command", "Copy what a run has logged to MLflow to this machine."),
    "cancel": LazyCommand("mlp.cli.cancel:command", "End runs, and keep what is known about them."),
    "suspend": LazyCommand("mlp.cli.suspend:command", "Stop runs for a while."),
    "resume": LazyCommand("mlp.cli.resume:command", "Let suspended runs go on."),
    "retry": LazyCommand("mlp.cli.retry:command", "Run once more what has ended."),
    "delete": LazyCommand("mlp.cli.delete:command", "Delete runs, and what they left in the cluster."),
    "env": LazyCommand("mlp.cli.env:command", "Look after the environments that were built on this machine."),
    "completion": LazyCommand("mlp.cli.completion:command", "Print what makes a shell complete mlp's words."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(self, *, lazy: Mapping[str, LazyCommand], **options: Any) -> None:  # noqa: ANN401 -- Click's own
        super().__init__(**options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- Click's signature
        """The commands' names, in the table's order."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- Click's signature
        """The command of that name, imported now."""
        found = self._lazy.get(cmd_name)
        return found.load() if found else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; suggest one where there is none."""
        if args and args[0] not in self._lazy and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(self._unknown(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- Click's signature
        """Write the table. Click's own method would import every command for its first line of help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in self._lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name from the table. Click's own method would import every command."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 -- only a shell's completion needs it

        commands = [
            CompletionItem(name, help=c.summary) for name, c in self._lazy.items() if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def _unknown(self, name: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415 -- only a misspelt command needs it

        close = get_close_matches(name, self._lazy, n=1)
        hint = f"Did you mean '{close[0]}'?" if close else f"The commands are: {', '.join(self._lazy)}."
        return f"No such command '{name}'. {hint}"


# Click takes \b alone on a line for the beginning of a paragraph that it must not wrap.
_HELP: Final = """\
Run MLflow Projects: on this machine, or as ProjectRuns on Kubernetes.

\b
Start here:
  mlp run . -P alpha=0.5     run the project in this directory
  mlp run GIT-URI -e NAME    run an entry point of a project in Git
  mlp validate .             find what is wrong with a project
  mlp submit GIT-URI --logs  have a cluster run it, and watch
  mlp COMMAND --help         what a command can do, with examples
"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 ok, 1 failed, 2 wrong usage, 3 cancelled or too late, 4 credentials wanted, "
    "69 no environment, 130 interrupted. 'mlp run' ends with its command's own status.",
)
@click.version_option(__version__, prog_name="mlp", message="%(prog)s %(version)s")
def application() -> None:
    """The program."""
