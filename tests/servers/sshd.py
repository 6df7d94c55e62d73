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
def serving(directory: Path, *, accept_git_protocol: bool) -> Iterator[SshServer]:
    """A server for as long as the block lasts.

    Args:
        directory: For its keys and configuration.
        accept_git_protocol: Whether it takes the variable by which a client asks for Git's protocol 2.
    """
    for name in ("host", "user"):
        make_key(directory / name)
    authorized = directory / "authorized_keys"
    authorized.write_text((directory / "user.pub").read_text())
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it separates privileges; it refuses to start without
    port = _free_port()
    config = directory / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {authorized}\nStrictModes no\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nUsePAM {'yes' if os.geteuid() == 0 else 'no'}\nPrintMotd no\n"
        f"MaxStartups 100\n{'AcceptEnv GIT_PROTOCOL' if accept_git_protocol else ''}\n"
    )
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
