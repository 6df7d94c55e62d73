"""``mlp completion``: what makes a shell complete the words of mlp, and the program that kubectl asks for its plugin.

The mechanism is Click's: the shell calls mlp with the line in the environment, and mlp prints candidates. For bash the
script is our own, because bash takes ``=`` and ``:`` for the ends of words, and -P and URIs are full of both.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, ClassVar, Final

import click

from mlp.cli.examples import examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["command", "kubectl", "register"]

_VARIABLE: Final = "_MLP_COMPLETE"
_UNSAFE: Final = re.compile(r"([^\w@%+=:,./~-])")

# Numbers that cobra, and so kubectl, adds up (ShellCompDirective).
_NO_SPACE: Final = 2
_NO_FILES: Final = 4
_DIRECTORIES: Final = 16

_BASH: Final = """\
%(complete_func)s() {
    local kind word
    COMPREPLY=()
    while IFS=, read -r kind word; do
        case "$kind" in
            plain) COMPREPLY+=("$word") ;;
            open) COMPREPLY+=("$word"); compopt -o nospace ;;
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
        esac
    done < <(COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -F %(complete_func)s %(prog_name)s
"""


@click.command(
    epilog=examples(
        ("In ~/.bashrc", 'eval "$(mlp completion bash)"'),
        ("In ~/.zshrc, below compinit", 'eval "$(mlp completion zsh)"'),
        ("Once, for fish", "mlp completion fish > ~/.config/fish/completions/mlp.fish"),
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes a shell complete commands, options, entry points, parameters and runs.

    'kubectl mlp' completes by itself where kubectl does: kubectl_complete-mlp is installed beside mlp.
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 -- only here

    from mlp.cli.application import application  # noqa: PLC0415 -- it is who imports this module

    register()
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 -- Click has these three
    script = kind(application, {}, "mlp", _VARIABLE)
    click.echo((script.source_template % script.source_vars()).rstrip())


def register() -> None:
    """Have Click use our own way with bash."""
    from click.shell_completion import BashComplete, add_completion_class, split_arg_string  # noqa: PLC0415

    class Bash(BashComplete):
        source_template: ClassVar[str] = _BASH

        def get_completion_args(self) -> tuple[list[str], str]:
            """The words before the one that is completed, and that one, as the shell's user sees them."""
            line = os.environ["COMP_WORDS"]
            words = split_arg_string(line)[1:]
            return (words, "") if not words or line[-1:].isspace() else (words[:-1], words[-1])

        def format_completion(self, item: CompletionItem) -> str:
            """A candidate without what stands before bash's last word break, which stays on the line."""
            incomplete = self.get_completion_args()[1]
            breaks = os.environ.get("COMP_WORDBREAKS", "")
            kept = max((incomplete.rfind(character) + 1 for character in breaks), default=0)
            kind = "open" if item.type == "plain" and _goes_on(item) else item.type
            word = _UNSAFE.sub(r"\\\1", str(item.value)[kept:])
            return f"{kind},{word}"

    add_completion_class(Bash, "bash")


def kubectl() -> None:
    """Answer kubectl's question for the plugin: the words so far, the last of them being completed, are arguments."""
    from click.shell_completion import ShellComplete  # noqa: PLC0415 -- only here

    from mlp.cli.application import application  # noqa: PLC0415 -- it is who imports this module

    *before, incomplete = sys.argv[1:] or [""]
    directive = _NO_FILES
    items = ShellComplete(application, {}, "mlp", _VARIABLE).get_completions(before, incomplete)
    for item in items:
        match item.type:
            case "dir":
                directive = _DIRECTORIES
            case "file":
                directive = 0
            case _:
                click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    if items and all(map(_goes_on, items)):
        directive |= _NO_SPACE
    click.echo(f":{directive}")


def _goes_on(item: CompletionItem) -> bool:
    """Whether more of the same word will follow a candidate."""
    return str(item.value).endswith(("=", "/"))
