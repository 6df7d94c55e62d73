"""Credentials from a mounted Secret or from the user, given to Git so that they show up nowhere else.

Not in argv, URL, environment or .git/config, and never to another host: a user name and password go through a
credential helper that Git asks for this one host and port only, and that reads files which only we can read; an SSH key
is copied for ssh (which refuses a key that others can read, and a mounted Secret often is) and offered to its host
alone.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlp.errors import AuthenticationFailed, UsageError
from mlp.source.location import host_name, transport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Arrangement", "Given", "arrange", "arrange_given"]

# The keys that Kubernetes gives the two types of Secret (kubernetes.io/basic-auth and kubernetes.io/ssh-auth).
USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105 -- the name of a key, not a password
PRIVATE_KEY: Final = "ssh-privatekey"
KNOWN_HOSTS: Final = "known_hosts"

# `printf` is built into every shell: no other process gets to see its arguments.
_HELPER: Final = """\
# Answers Git's question for credentials from files.
test "$1" = get || exit 0
printf 'username=%s\\n' "$(cat {username} 2>/dev/null || printf git)"
printf 'password=%s\\n' "$(cat {password})"
"""

_SSH_CONFIG: Final = """\
Host {host}
  IdentityFile {key}
Host *
  IdentityFile none
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  StrictHostKeyChecking yes
  UserKnownHostsFile {known_hosts}
  GlobalKnownHostsFile /dev/null
  UpdateHostKeys no
  ConnectTimeout 30
  ServerAliveInterval 15
"""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What Git needs to be told.

    Attributes:
        config: Configuration of Git, to be given by environment variables.
        environment: Further variables.
        secrets: Texts that must not appear in anything we say.
    """

    config: tuple[tuple[str, str], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """What a user has given on a laptop, for one run.

    Attributes:
        username: The user; None for the one in the URL, or the one that the server expects beside an access token.
        password: A password or an access token; None leaves it to the user's credential helpers.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what Git's own protocol for credentials cannot carry.

        Raises:
            UsageError: There is a line break in one of them.
        """
        for name, value in (("--git-username", self.username), ("--git-password", self.password)):
            if value is not None and any(character in value for character in "\r\n\0"):
                raise UsageError(f"The value of {name} has a line break in it.")

    def user(self, uri: str) -> str:
        """The user's name for a repository or an archive."""
        in_uri = unquote(urlsplit(uri).username or "")
        return self.username or in_uri or _user_of_token(host_name(uri), self.password or "")


def _user_of_token(host: str, token: str) -> str:
    """The user name beside an access token. Most servers take any; these do not, or document one."""
    if "bitbucket" in host:
        return "x-bitbucket-api-token-auth" if token.startswith("ATATT") else "x-token-auth"
    # GitLab wants this one with tokens of OAuth; GitLab's other tokens, Gitea, Forgejo and Azure DevOps take any.
    return "x-access-token" if "github" in host else "oauth2"


def arrange_given(uri: str, given: Given, private: Path) -> Arrangement:
    """Prepare the use of what a user has given, beside the user's own configuration.

    Args:
        uri: The repository.
        given: The credentials.
        private: A directory that only we can read and that lives as long as the calls of Git.

    Raises:
        AuthenticationFailed: The repository is reached by SSH, which takes none of these.
    """
    scheme, host = transport(uri)
    if scheme == "ssh":
        raise AuthenticationFailed(
            f"{uri} is reached by SSH, which takes a key and not what --git-username and --git-password (or "
            "MLFLOW_GIT_USERNAME and MLFLOW_GIT_PASSWORD) give. Leave them out, or use the repository's https:// URL."
        )
    if scheme not in {"http", "https"}:
        return Arrangement()
    if given.password is None:
        user = given.username or ""
        return Arrangement(config=tuple((f"credential.{server}.username", user) for server in _servers(scheme, host)))
    for name, text in ((USERNAME, given.user(uri)), (PASSWORD, given.password)):
        (private / name).touch(mode=0o600)
        (private / name).write_bytes(os.fsencode(text))
    helper = _write_helper(private, username=private / USERNAME, password=private / PASSWORD)
    config: list[tuple[str, str]] = []
    for server in _servers(scheme, host):
        # An empty value forgets the helpers so far, which are the user's own.
        config += [(f"credential.{server}.helper", ""), (f"credential.{server}.helper", helper)]
    return Arrangement(config=tuple(config), secrets=(given.password,))


def arrange(uri: str, credentials: Path | None, private: Path) -> Arrangement:
    """Prepare the use of credentials for one repository.

    Args:
        uri: The repository.
        credentials: The directory where the Secret is mounted, if there is one.
        private: A directory that only we can read and that lives as long as the calls of Git.

    Raises:
        AuthenticationFailed: The Secret does not hold what this repository's transport needs.
    """
    scheme, host = transport(uri)
    if scheme == "ssh":
        return _arrange_ssh(uri, credentials, private)
    if credentials is None or scheme not in {"http", "https"}:
        return Arrangement()
    return _arrange_http(uri, _servers(scheme, host), credentials, private)


def _servers(scheme: str, host: str) -> tuple[str, ...]:
    """The addresses of a server; one that is asked without encryption may send its clients on to the one with."""
    return (
        (f"{scheme}://{host}", f"https://{host}") if scheme == "http" and ":" not in host else (f"{scheme}://{host}",)
    )


def _arrange_http(uri: str, servers: tuple[str, ...], credentials: Path, private: Path) -> Arrangement:
    password = credentials / PASSWORD
    if not password.is_file():
        found = "only an SSH key" if (credentials / PRIVATE_KEY).is_file() else "no password"
        raise AuthenticationFailed(
            f"The credentials Secret holds {found}, and {uri} needs a password or an access token. "
            "Use a Secret of type kubernetes.io/basic-auth with the keys 'username' and 'password'."
        )
    helper = _write_helper(private, username=credentials / USERNAME, password=password)
    return Arrangement(
        config=tuple((f"credential.{server}.helper", helper) for server in servers),
        secrets=(_read(password).strip(),),
    )


def _write_helper(private: Path, *, username: Path, password: Path) -> str:
    """A credential helper that answers from files, as Git's configuration calls it."""
    helper = private / "credential"
    helper.write_text(_HELPER.format(username=shlex.quote(str(username)), password=shlex.quote(str(password))))
    # Read by `sh`, not executed: the directory may be mounted noexec.
    return f"!sh {shlex.quote(str(helper))}"


def _arrange_ssh(uri: str, credentials: Path | None, private: Path) -> Arrangement:
    needed = "Use a Secret of type kubernetes.io/ssh-auth with the keys 'ssh-privatekey' and 'known_hosts'."
    if credentials is None:
        raise AuthenticationFailed(f"{uri} is reached by SSH, which needs credentials, and none were given. {needed}")
    source = credentials / PRIVATE_KEY
    if not source.is_file():
        raise AuthenticationFailed(f"The credentials Secret holds no 'ssh-privatekey', which {uri} needs. {needed}")
    if not (credentials / KNOWN_HOSTS).is_file():
        raise AuthenticationFailed(
            f"The credentials Secret holds no 'known_hosts', without which nobody can tell whether {uri} is served by "
            f"the right machine. Add that key with the output of `ssh-keyscan {host_name(uri)}`, after comparing it "
            "with the fingerprints that the server's owner publishes."
        )
    key, known_hosts, config = private / "key", private / "known_hosts", private / "ssh_config"
    text = _read(source)
    key.touch(mode=0o600)
    # A key without its last line break is a frequent slip of pasting; ssh calls it "error in libcrypto".
    key.write_text(text.rstrip("\r\n") + "\n")
    known_hosts.write_text(_read(credentials / KNOWN_HOSTS))
    config.write_text(_SSH_CONFIG.format(host=host_name(uri), key=f'"{key}"', known_hosts=f'"{known_hosts}"'))
    command = shlex.join(["ssh", "-F", str(config)])
    return Arrangement(environment={"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}, secrets=(text.strip(),))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AuthenticationFailed(
            f"The key '{file.name}' of the credentials Secret cannot be read: {reason}."
        ) from None
