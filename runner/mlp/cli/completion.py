"""``mlp completion``: what makes a shell complete the words of mlp, and the program that kubectl asks for its plugin.

The mechanism is Click's: the shell calls mlp with the line in the environment, and mlp prints candidates. The scripts
for bash and zsh are our own: neither must put a space behind ``alpha=``, and bash takes ``=`` and ``:`` for the ends of
words.
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

_ZSH: Final = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local kind entry
    local -a whole begun
    for kind entry in "${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
            %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}"; do
        case $kind in
            plain) whole+=("$entry") ;;
            open) begun+=("$entry") ;;
            dir) _path_files -/ ;;
            file) _path_files ;;
        esac
    done
    (( $#whole )) && _describe -V candidate whole -U
    (( $#begun )) && _describe -V candidate begun -U -S ''
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
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
    """Have Click use our own ways with bash and zsh."""
    from click.shell_completion import (  # noqa: PLC0415 -- only where a shell completes a word
        BashComplete,
        ZshComplete,
        add_completion_class,
        split_arg_string,
    )

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
            word = _UNSAFE.sub(r"\\\1", str(item.value)[kept:])
            return f"{_kind(item)},{word}"

    class Zsh(ZshComplete):
        source_template: ClassVar[str] = _ZSH

        def format_completion(self, item: CompletionItem) -> str:
            """A candidate and what it is, as zsh's _describe takes them."""
            word = str(item.value).replace(":", r"\:")
            return f"{_kind(item)}\n{word}:{item.help}" if item.help else f"{_kind(item)}\n{word}"

    add_completion_class(Bash, "bash")
    add_completion_class(Zsh, "zsh")


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


def _kind(item: CompletionItem) -> str:
    """What the scripts are told of a candidate: its type, or that no space follows."""
    return "open" if item.type == "plain" and _goes_on(item) else item.type


def _goes_on(item: CompletionItem) -> bool:
    """Whether more of the same word will follow a candidate."""
    return str(item.value).endswith(("=", "/", ":"))
