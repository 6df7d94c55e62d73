"""How Git may reach a server: as its user does on a laptop, or with nothing but what was given in a cluster.

On a laptop the user's own configuration, credential helpers, SSH agent and proxies work as they do for `git` itself;
credentials that were given for a run come before them. In the operator and in pods nothing ambient counts but proxies
and certificate authorities (mlp.source.network): no configuration of system or user, no hooks, no prompts, the allowed
transports only, credentials only from a mounted Secret (mlp.source.credentials). It makes environments, runs nothing.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlp.errors import SourceInvalid, UsageError
from mlp.source.credentials import Arrangement, Given, arrange, arrange_given
from mlp.source.location import transport
from mlp.source.network import network_variables, proxy_passwords
from mlp.source.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Access", "Surroundings", "own_environment"]

# Variables that tie Git to one repository: a hook or an alias that runs us would have set them.
_OF_A_REPOSITORY: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)

# What somebody has set for checkouts of their own, and would leave pointers in place of files in ours.
_OF_LARGE_FILES: Final = frozenset({"GIT_LFS_SKIP_DOWNLOAD_ERRORS", "GIT_LFS_SKIP_SMUDGE"})

# Credentials that were given to us; Git gets them in a way in which no other process sees them.
_OURS: Final = frozenset({"MLFLOW_GIT_PASSWORD", "MLFLOW_GIT_USERNAME"})

_ALWAYS: Final = (
    # Nothing may go on running in the background once a call has ended.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("core.fsmonitor", "false"),
    # What a call does must not depend on these.
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("init.defaultBranch", "main"),
    ("advice.detachedHead", "false"),
    # Contents of large files are for mlp.source.lfs, not for a filter that the machine may have or lack. A process that
    # is set to nothing keeps the other commands of the filter from being called too.
    ("filter.lfs.process", ""),
    ("filter.lfs.required", "false"),
)

_SCRUBBED: Final = (
    ("core.hooksPath", "/dev/null"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("protocol.version", "2"),
    # A server that is busy packing sends five bytes every five seconds; one that hangs sends none.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    # A volume's files often belong to another user than the process.
    ("safe.directory", "*"),
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What calls of Git for one repository run with.

    Attributes:
        environment: The whole environment.
        secrets: Texts that must not appear in anything we say.
        terminal: A descriptor of the terminal on which Git may ask the user, if there is one.
    """

    environment: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    terminal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How Git may reach servers. Made by `ambient` or `scrubbed`.

    Attributes:
        isolated: Whether nothing ambient counts.
        credentials: The directory where a credentials Secret is mounted.
        given: Credentials that a user has given, where the user's own surroundings count.
        protocols: The transports that may be used; None leaves it to Git and its user's configuration.
        allow_other_hosts: Whether submodules may come from other hosts than the repository itself.
        largest_file: Bytes that Git may write into one file; None for no limit. A server that cannot send a part of a
            repository sends all of it.
        check: Called again and again while Git works; what it raises ends Git, and comes out of the operation.
    """

    isolated: bool
    credentials: Path | None = None
    given: Given | None = None
    protocols: tuple[str, ...] | None = None
    allow_other_hosts: bool = True
    largest_file: int | None = None
    check: Callable[[], None] | None = None

    @classmethod
    def ambient(cls, username: str | None = None, password: str | None = None, token: str | None = None) -> Access:
        """The user's own: configuration, credential helpers, agent, proxies; prompts only where there is a terminal.

        Args:
            username: The user for a server that is reached over HTTP.
            password: The password, or an access token. Only the repository's own host gets to see it.
            token: An access token, which is another name for a password.

        Raises:
            UsageError: There are both a password and a token, or a line break in one of them.
        """
        if password and token:
            raise UsageError("Both a Git password and a Git token are given, and the token takes the password's place.")
        given = Given(username or None, password or token or None) if username or password or token else None
        return cls(isolated=False, given=given)

    @classmethod
    def scrubbed(
        cls,
        *,
        credentials: Path | None = None,
        protocols: Sequence[str] = ("https", "ssh"),
        allow_other_hosts: bool = False,
        largest_file: int | None = None,
        check: Callable[[], None] | None = None,
    ) -> Access:
        """Nothing ambient.

        Args:
            credentials: A directory with the files ``username`` and ``password`` (a Secret of type
                kubernetes.io/basic-auth) or ``ssh-privatekey`` and ``known_hosts`` (kubernetes.io/ssh-auth).
            protocols: The transports that may be used.
            allow_other_hosts: Whether submodules may come from other hosts. They get no credentials in any case.
            largest_file: Bytes that Git may write into one file; needs util-linux's ``prlimit``.
            check: Called again and again while Git works; what it raises ends Git.
        """
        return cls(
            isolated=True,
            credentials=credentials,
            protocols=tuple(protocols),
            allow_other_hosts=allow_other_hosts,
            largest_file=largest_file,
            check=check,
        )

    def way_to_authenticate(self, uri: str) -> str:
        """What a user can do about missing or wrong credentials for a repository."""
        if self.isolated and self.credentials is None:
            return (
                "Create a Secret of type kubernetes.io/basic-auth (https) or kubernetes.io/ssh-auth with known_hosts "
                "(ssh) and name it in spec.project.authSecretRef."
            )
        if self.isolated:
            return "Correct the Secret that spec.project.authSecretRef names."
        options = "--git-username and --git-password (or MLFLOW_GIT_USERNAME and MLFLOW_GIT_PASSWORD)"
        if self.given is not None:
            return f"Correct {options}."
        ambient = "Check that `git ls-remote` works with this URL: mlp uses the same credential helpers and SSH agent."
        return f"{ambient} Or give {options}." if transport(uri)[0] in {"http", "https"} else ambient

    def permit(self, uri: str) -> None:
        """Refuse a repository whose transport is not allowed.

        Raises:
            SourceInvalid: It is not.
        """
        scheme, _ = transport(uri)
        if self.protocols is not None and scheme not in self.protocols:
            raise SourceInvalid(
                f"'{redact(uri)}' would be fetched by '{scheme}', which is not allowed here. "
                f"Allowed: {', '.join(self.protocols)}."
            )

    def surroundings(self, uri: str, private: Path) -> Surroundings:
        """The environment of the calls for one repository.

        Args:
            uri: The repository; credentials are for its host only.
            private: A directory that only we can read and that lives as long as the calls.

        Raises:
            AuthenticationFailed: The credentials do not fit the transport.
        """
        return self._isolated(uri, private) if self.isolated else self._own(uri, private)

    def _own(self, uri: str, private: Path) -> Surroundings:
        arrangement = Arrangement() if self.given is None else arrange_given(uri, self.given, private)
        environment = own_environment()
        terminal = _terminal()
        if terminal is None:
            environment["GIT_TERMINAL_PROMPT"] = "0"
        _configure(environment, (*_ALWAYS, *arrangement.config))
        return Surroundings(environment, (*arrangement.secrets, *proxy_passwords(environment)), terminal)

    def _isolated(self, uri: str, private: Path) -> Surroundings:
        arrangement: Arrangement = arrange(uri, self.credentials, private)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            **network_variables(os.environ),
            "LC_ALL": "C",
            "HOME": str(private),
            "TMPDIR": str(private),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": ":".join(self.protocols or ()),
            **arrangement.environment,
        }
        _configure(environment, (*_ALWAYS, *_SCRUBBED, *arrangement.config))
        return Surroundings(environment, (*arrangement.secrets, *proxy_passwords(environment)))


def own_environment() -> dict[str, str]:
    """The user's environment for calls of Git: tied to no repository, in English, without our own secrets."""
    left_out = _OF_A_REPOSITORY | _OF_LARGE_FILES | _OURS
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    return environment | {"LC_ALL": "C", "LANGUAGE": ""}


def _configure(environment: dict[str, str], pairs: Iterable[tuple[str, str]]) -> None:
    """Add configuration by environment variables, after what is there already."""
    try:
        count = int(environment.get("GIT_CONFIG_COUNT", "0"))
    except ValueError:
        count = 0
    for key, value in pairs:
        environment[f"GIT_CONFIG_KEY_{count}"], environment[f"GIT_CONFIG_VALUE_{count}"] = key, value
        count += 1
    environment["GIT_CONFIG_COUNT"] = str(count)


def _terminal() -> int | None:
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return descriptor if os.isatty(descriptor) else None
