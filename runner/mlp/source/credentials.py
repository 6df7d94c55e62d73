"""Credentials from a mounted Secret, given to Git so that they show up nowhere else.

Not in argv, URL, environment or .git/config, and never to another host: a user name and password go through a
credential helper that Git asks for this one host and port only, and that reads the mounted files itself; an SSH key is
copied for ssh (which refuses a key that others can read, and a mounted Secret often is) and offered to its host alone.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlp.errors import AuthenticationFailed
from mlp.source.location import transport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Arrangement", "arrange"]

# The keys that Kubernetes gives the two types of Secret (kubernetes.io/basic-auth and kubernetes.io/ssh-auth).
USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105 -- the name of a key, not a password
PRIVATE_KEY: Final = "ssh-privatekey"
KNOWN_HOSTS: Final = "known_hosts"

# `printf` is built into every shell: no other process gets to see its arguments.
_HELPER: Final = """\
# Answers Git's question for credentials from mounted files.
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
        return _arrange_ssh(uri, host, credentials, private)
    if credentials is None or scheme not in {"http", "https"}:
        return Arrangement()
    return _arrange_http(uri, f"{scheme}://{host}", credentials, private)


def _arrange_http(uri: str, server: str, credentials: Path, private: Path) -> Arrangement:
    password = credentials / PASSWORD
    if not password.is_file():
        found = "only an SSH key" if (credentials / PRIVATE_KEY).is_file() else "no password"
        raise AuthenticationFailed(
            f"The credentials Secret holds {found}, and {uri} needs a password or an access token. "
            "Use a Secret of type kubernetes.io/basic-auth with the keys 'username' and 'password'."
        )
    helper = private / "credential"
    helper.write_text(
        _HELPER.format(username=shlex.quote(str(credentials / USERNAME)), password=shlex.quote(str(password)))
    )
    return Arrangement(
        # Read by `sh`, not executed: the directory may be mounted noexec.
        config=((f"credential.{server}.helper", f"!sh {shlex.quote(str(helper))}"),),
        secrets=(_read(password).strip(),),
    )


def _arrange_ssh(uri: str, host: str, credentials: Path | None, private: Path) -> Arrangement:
    needed = "Use a Secret of type kubernetes.io/ssh-auth with the keys 'ssh-privatekey' and 'known_hosts'."
    if credentials is None:
        raise AuthenticationFailed(f"{uri} is reached by SSH, which needs credentials, and none were given. {needed}")
    source = credentials / PRIVATE_KEY
    if not source.is_file():
        raise AuthenticationFailed(f"The credentials Secret holds no 'ssh-privatekey', which {uri} needs. {needed}")
    if not (credentials / KNOWN_HOSTS).is_file():
        raise AuthenticationFailed(
            f"The credentials Secret holds no 'known_hosts', without which nobody can tell whether {uri} is served by "
            f"the right machine. Add that key with the output of `ssh-keyscan {_host_name(host)}`, after comparing it "
            "with the fingerprints that the server's owner publishes."
        )
    key, known_hosts, config = private / "key", private / "known_hosts", private / "ssh_config"
    text = _read(source)
    key.touch(mode=0o600)
    # A key without its last line break is a frequent slip of pasting; ssh calls it "error in libcrypto".
    key.write_text(text.rstrip("\r\n") + "\n")
    known_hosts.write_text(_read(credentials / KNOWN_HOSTS))
    config.write_text(_SSH_CONFIG.format(host=_host_name(host), key=f'"{key}"', known_hosts=f'"{known_hosts}"'))
    command = shlex.join(["ssh", "-F", str(config)])
    return Arrangement(environment={"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}, secrets=(text.strip(),))


def _host_name(host: str) -> str:
    """A host without port or brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AuthenticationFailed(
            f"The key '{file.name}' of the credentials Secret cannot be read: {reason}."
        ) from None
