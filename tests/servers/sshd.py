"""A real OpenSSH server on a port of its own, with keys and configuration that live in a test's directory.

It serves the machine's files to the user who runs the tests, with a key made for the purpose. Debian's openssh-server
is installed where it is missing and root may.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DAEMON = Path("/usr/sbin/sshd")


@dataclass(frozen=True)
class SshServer:
    """A running server.

    Attributes:
        user: Who logs in.
        port: Where it listens, on 127.0.0.1.
        private_key: The key that it admits.
        known_hosts: What a client has to know of it.
    """

    user: str
    port: int
    private_key: str
    known_hosts: str

    def url(self, path: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"


def available() -> bool:
    """Whether there is a server to start, after an attempt to install one."""
    if not DAEMON.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "openssh-server"]
        if subprocess.run(install, env=environment, capture_output=True, check=False).returncode != 0:
            subprocess.run(["apt-get", "update", "-q"], env=environment, capture_output=True, check=False)
            subprocess.run(install, env=environment, capture_output=True, check=False)
    return DAEMON.exists()


@contextlib.contextmanager
def serving(directory: Path, *, accept_git_protocol: bool, programs: Path | None = None) -> Iterator[SshServer]:
    """A server for as long as the block lasts.

    Args:
        directory: For its keys and configuration.
        accept_git_protocol: Whether it takes the variable by which a client asks for Git's protocol 2.
        programs: A directory with programs that clients may call besides those of the machine.
    """
    for name in ("host", "user"):
        make_key(directory / name)
    authorized = directory / "authorized_keys"
    authorized.write_text((directory / "user.pub").read_text())
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it separates privileges; it refuses to start without
    port = _free_port()
    config = directory / "sshd_config"
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": directory / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": authorized,
        "StrictModes": "no",  # a test's directory may lie in one that everybody can write to
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "yes" if _account_is_locked() else "no",
        "KexAlgorithms": "curve25519-sha256",  # the default takes a third of a second
        "MaxStartups": 100,
    }
    if accept_git_protocol:
        settings["AcceptEnv"] = "GIT_PROTOCOL"
    if programs is not None:
        settings["SetEnv"] = f"PATH={programs}:{os.environ['PATH']}"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    with (directory / "sshd.log").open("wb") as log:
        daemon = subprocess.Popen([str(DAEMON), "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log)
        try:
            _wait_until_listening(daemon, port, directory / "sshd.log")
            host_key = " ".join((directory / "host.pub").read_text().split()[:2])
            yield SshServer(
                getpass.getuser(), port, (directory / "user").read_text(), f"[127.0.0.1]:{port} {host_key}\n"
            )
        finally:
            daemon.terminate()
            daemon.wait(10)


def make_key(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", str(file)], check=True)


def _account_is_locked() -> bool:
    """Whether the user has an account that sshd admits through PAM only; known to root alone, who alone may use PAM."""
    try:
        accounts = dict(line.split(":")[:2] for line in Path("/etc/shadow").read_text().splitlines())
    except OSError:
        return False
    return accounts.get(getpass.getuser(), "").startswith("!")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_listening(daemon, port: int, log: Path) -> None:
    for _ in range(250):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"sshd did not start: {log.read_text()}")
