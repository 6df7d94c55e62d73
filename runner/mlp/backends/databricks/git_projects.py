"""A project that the workspace fetches from Git itself: who serves it, and which Python file of it is run. Pure.

There is nobody on the cluster then who could read an MLproject file, so its command has to be one that Databricks can
run: a Python file of the repository with arguments. What only a shell could understand is refused, with the way out.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError
from mlp.project.suggestion import shortened
from mlp.source.location import host_name, transport

if TYPE_CHECKING:
    from mlp.backends.databricks.task import GitProject

__all__ = ["NOT_PYTHON", "git_provider", "in_repository", "python_call", "spark_python_call"]

NOT_PYTHON: Final = "Databricks spark job only supports 'python' command in the entry point configuration."
"""MLflow's words for any other command of a databricks_spark_job."""

_HOSTS: Final = {
    "github.com": "gitHub",
    "gitlab.com": "gitLab",
    "bitbucket.org": "bitbucketCloud",
    "dev.azure.com": "azureDevOpsServices",
}
_DOMAINS: Final = {".visualstudio.com": "azureDevOpsServices", ".amazonaws.com": "awsCodeCommit"}
_PYTHON: Final = re.compile(r"python(3(\.\d+)?)?")
_UPLOAD: Final = "Have the project uploaded instead (project_source archive)."
_OF_A_SHELL: Final = frozenset(";&|<>()$`*?[]{}~#!\n")
"""What the shell reads otherwise than as itself, outside of quotes."""
_IN_DOUBLE_QUOTES: Final = frozenset("$`!")


def git_provider(uri: str, given: str | None = None) -> str:
    """Who serves a repository, in the Jobs API's words.

    Args:
        uri: The repository, as `mlp.source.locate` gave it.
        given: What the user says.

    Raises:
        UsageError: Databricks cannot fetch it, or the host does not tell.
    """
    scheme, _ = transport(uri)
    if scheme not in {"https", "http"}:
        raise UsageError(
            f"Databricks fetches repositories over https, and not {uri}. Give the repository's https URL. {_UPLOAD}"
        )
    if given is not None:
        return given
    host = host_name(uri)
    if host in _HOSTS:
        return _HOSTS[host]
    for domain, provider in _DOMAINS.items():
        if host.endswith(domain):
            return provider
    raise UsageError(
        f"Who serves Git on {host} cannot be told from its name. Say it as git_provider: gitHubEnterprise, "
        "gitLabEnterpriseEdition, bitbucketServer, …"
    )


def python_call(command: str) -> tuple[str, tuple[str, ...]]:
    """The Python file that an entry point's command runs, from the project's directory, and its arguments.

    Args:
        command: The command, with its parameters put in.

    Raises:
        UsageError: It is no plain call of a Python file.
    """
    words = _words(command)
    if len(words) < 2 or not _PYTHON.fullmatch(words[0]) or not words[1].endswith(".py") or words[1][0] == "-":  # noqa: PLR2004 -- the interpreter and its file
        raise _no_call(command)
    return words[1], tuple(words[2:])


def spark_python_call(command: str) -> tuple[str, tuple[str, ...]]:
    """The same for an entry point of a databricks_spark_job, which may have no other command.

    Raises:
        UsageError: It is none.
    """
    try:
        return python_call(command)
    except UsageError:
        raise UsageError(NOT_PYTHON) from None


def in_repository(project: GitProject, path: str) -> str:
    """A project's file as a path from its repository's root."""
    return posixpath.normpath(posixpath.join(project.subdirectory, path))


def _words(command: str) -> list[str]:
    """The words of a command that means the same without a shell."""
    text = command.strip()
    quote, escaped, joined = "", False, ""
    for character in text:
        joined += character
        if escaped:
            # The shell goes on with the next line as if it were the same one; within single quotes it does not.
            joined = joined[:-2] if character == "\n" else joined
            escaped = False
        elif quote == "'":
            quote = "" if character == "'" else quote
        elif character == "\\":
            escaped = True
        elif quote:
            if character in _IN_DOUBLE_QUOTES:
                raise _no_call(command)
            quote = "" if character == '"' else quote
        elif character in _OF_A_SHELL:
            raise _no_call(command)
        elif character in {"'", '"'}:
            quote = character
    try:
        return shlex.split(joined) if not quote else []
    except ValueError:
        raise _no_call(command) from None


def _no_call(command: str) -> UsageError:
    return UsageError(
        f"From Git, Databricks runs a Python file with arguments (python FILE.py …), and the entry point's command is "
        f"another: {shortened(' '.join(command.split()))}. {_UPLOAD}"
    )
