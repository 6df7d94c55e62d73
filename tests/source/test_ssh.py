"""Against a real OpenSSH server."""

from __future__ import annotations

import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from mlp.errors import AuthenticationFailed, SourceNotFound, SourceUnavailable
from mlp.source import Access, Git, locate
from tests.cluster.fixtures import is_ci
from tests.servers import sshd
from tests.source import repositories

# In CI a missing server is a failure, which each test then meets.
pytestmark = pytest.mark.skipif(
    not sshd.available() and not is_ci(), reason="there is no OpenSSH server on this machine"
)


@pytest.fixture(params=[True, False], ids=["protocol-2", "protocol-0"])
def server(request, tmp_path):
    """With and without the variable by which a client asks for Git's newer protocol."""
    directory = tmp_path / "sshd"
    directory.mkdir()
    with sshd.serving(directory, accept_git_protocol=request.param) as server:
        yield server


@pytest.fixture
def any_server(tmp_path):
    directory = tmp_path / "sshd"
    directory.mkdir()
    with sshd.serving(directory, accept_git_protocol=True) as server:
        yield server


def make_secret(directory, server):
    directory.mkdir()
    # The mode that files of a Secret have in a pod unless somebody thinks of it; ssh would refuse it.
    for name, text in (("ssh-privatekey", server.private_key.rstrip("\n")), ("known_hosts", server.known_hosts)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    return directory


def connect(secret, timeout=60):
    return Git(Access.scrubbed(credentials=secret, protocols=("ssh",)), timeout=timeout)


@pytest.fixture
def commit(repository):
    repository.commit({"MLproject": "name: x\n", "sub/f": "1"})
    return repository.commit({"sub/g": "2"})


def test_a_repository_is_resolved_read_and_fetched(server, repository, commit, tmp_path):
    git = connect(make_secret(tmp_path / "secret", server))
    uri = locate(server.url(repository.path), local=False).uri
    middle = repository.git("rev-parse", "main~1")
    assert git.resolve(uri, None).commit == commit
    assert git.resolve(uri, middle).commit == middle
    for number, wish in enumerate((commit, middle)):
        files = git.read(uri, wish, ref="refs/heads/main", wanted=lambda name: name == "MLproject")
        assert files.text("MLproject") == "name: x\n"
        git.fetch(uri, wish, tmp_path / str(number), ref="refs/heads/main", subdirectory="sub")
        assert (tmp_path / str(number) / "sub/g").is_file() == (wish == commit)


@pytest.mark.usefixtures("commit")
def test_the_wrong_host_key_is_refused(any_server, repository, tmp_path):
    secret = make_secret(tmp_path / "secret", any_server)
    sshd.make_key(tmp_path / "other")
    kind, key = (tmp_path / "other.pub").read_text().split()[:2]
    (secret / "known_hosts").write_text(f"[127.0.0.1]:{any_server.port} {kind} {key}\n")
    with pytest.raises(AuthenticationFailed, match="does not have the host key that known_hosts expects"):
        connect(secret).resolve(any_server.url(repository.path), None)


@pytest.mark.usefixtures("commit")
def test_a_host_that_is_not_known_is_refused(any_server, repository, tmp_path):
    secret = make_secret(tmp_path / "secret", any_server)
    (secret / "known_hosts").write_text("")
    with pytest.raises(AuthenticationFailed, match="Nothing in known_hosts says") as caught:
        connect(secret).resolve(any_server.url(repository.path), None)
    assert f"`ssh-keyscan -p {any_server.port} 127.0.0.1`" in str(caught.value)


def test_a_secret_without_known_hosts_is_told_with_the_way_out(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "ssh-privatekey").write_text("x")
    for uri in ("ssh://git@git.example.org:22/p", "git@git.example.org:p"):
        with pytest.raises(AuthenticationFailed, match=r"no 'known_hosts'.*`ssh-keyscan git\.example\.org`"):
            connect(secret).resolve(uri, None)


def test_ssh_without_credentials_is_told_with_the_way_out():
    with pytest.raises(AuthenticationFailed, match=r"kubernetes.io/ssh-auth"):
        Git(Access.scrubbed()).resolve("git@git.example.org:p", None)


def test_a_password_is_of_no_use_for_ssh(tmp_path):
    (tmp_path / "password").write_text("x")
    with pytest.raises(AuthenticationFailed, match="holds no 'ssh-privatekey'"):
        connect(tmp_path).resolve("git@git.example.org:p", None)


@pytest.mark.usefixtures("commit")
def test_a_key_that_the_server_does_not_know_is_refused(any_server, repository, tmp_path):
    secret = make_secret(tmp_path / "secret", any_server)
    sshd.make_key(tmp_path / "other")
    (secret / "ssh-privatekey").write_text((tmp_path / "other").read_text())
    with pytest.raises(AuthenticationFailed, match=r"refused the SSH key.*Correct the Secret") as caught:
        connect(secret).resolve(any_server.url(repository.path), None)
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.usefixtures("commit")
def test_a_key_that_is_none_is_refused(any_server, repository, tmp_path):
    secret = make_secret(tmp_path / "secret", any_server)
    (secret / "ssh-privatekey").write_text("not a key")
    with pytest.raises(AuthenticationFailed, match="refused the SSH key"):
        connect(secret).resolve(any_server.url(repository.path), None)


def test_a_repository_that_is_not_there_is_told_as_such(any_server, tmp_path):
    secret = make_secret(tmp_path / "secret", any_server)
    with pytest.raises(SourceNotFound, match="There is no Git repository"):
        connect(secret).resolve(any_server.url(tmp_path / "nowhere"), None)


def test_a_server_that_says_nothing_ends_at_the_deadline_and_leaves_no_ssh(any_server, tmp_path):
    secret = make_secret(tmp_path / "secret", any_server)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(SourceUnavailable, match="within 1 seconds"):
            connect(secret, timeout=1).resolve(f"ssh://git@127.0.0.1:{port}/p", None)
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"127.0.0.1:{port}" not in processes
    assert f"-p {port}" not in processes


def test_a_server_that_refuses_connections_is_temporary(any_server, tmp_path):
    secret = make_secret(tmp_path / "secret", any_server)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="Connection refused"):
        connect(secret).resolve(f"ssh://git@127.0.0.1:{port}/p", None)


@pytest.mark.usefixtures("commit")
def test_the_copy_of_the_key_is_private_and_goes_with_the_call(any_server, repository, tmp_path, monkeypatch):
    """A git of our own on PATH looks at what the real one is given."""
    seen = tmp_path / "seen"
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nstat -c "%a %n" "$HOME"/* >> {seen}\nstat -c "%a %n" "$HOME" >> {seen}\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    secret = make_secret(tmp_path / "secret", any_server)
    with pytest.raises(SourceUnavailable):
        connect(secret).resolve(any_server.url(repository.path), None)
    modes = dict(reversed(line.split(" ", 1)) for line in seen.read_text().splitlines())
    home = min(modes, key=len)
    assert modes[home] == "700"
    assert modes[f"{home}/key"] == "600"
    assert not Path(home).exists()
    assert stat.S_IMODE((secret / "ssh-privatekey").stat().st_mode) == 0o644


class TestOnALaptop:
    """The user's own agent and configuration, which `ssh` finds without us."""

    @pytest.fixture
    def known_hosts(self, any_server, tmp_path, monkeypatch):
        """A file of known hosts that the user's configuration of Git names; the configuration names no key."""
        file = tmp_path / "known_hosts"
        file.write_text(any_server.known_hosts)
        home = tmp_path / "home"
        home.mkdir()
        command = (
            f"ssh -F /dev/null -o UserKnownHostsFile={file} -o GlobalKnownHostsFile=/dev/null -o IdentityFile=none"
        )
        (home / ".gitconfig").write_text(f'[core]\nsshCommand = "{command}"\n')
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
        return file

    @pytest.fixture
    def agent(self, any_server, tmp_path, monkeypatch):
        """An agent that holds the key which the server admits."""
        key = tmp_path / "in-agent"
        key.touch(mode=0o600)
        key.write_text(any_server.private_key)
        # The path of a socket must be short.
        with tempfile.TemporaryDirectory(prefix="agent-", dir="/tmp") as directory:
            address = f"{directory}/socket"
            with subprocess.Popen(["ssh-agent", "-D", "-a", address], stdout=subprocess.DEVNULL) as process:
                try:
                    monkeypatch.setenv("SSH_AUTH_SOCK", address)
                    deadline = time.monotonic() + 30
                    while not Path(address).exists():
                        assert time.monotonic() < deadline
                        time.sleep(0.02)
                    subprocess.run(["ssh-add", "-q", key], check=True, capture_output=True)
                    key.unlink()
                    yield
                finally:
                    process.terminate()

    @pytest.mark.usefixtures("known_hosts", "agent")
    def test_the_agents_key_counts(self, any_server, repository, commit, tmp_path):
        git = Git(Access.ambient(), timeout=60)
        uri = any_server.url(repository.path)
        assert git.resolve(uri, "main").commit == commit
        git.fetch(uri, commit, tmp_path / "out", subdirectory="sub")
        assert (tmp_path / "out/sub/g").is_file()

    @pytest.mark.usefixtures("known_hosts", "commit")
    def test_without_a_key_the_way_out_is_told(self, any_server, repository):
        with pytest.raises(AuthenticationFailed, match=r"refused the SSH key.*`git ls-remote`"):
            Git(Access.ambient(), timeout=60).resolve(any_server.url(repository.path), None)

    @pytest.mark.usefixtures("agent", "commit")
    def test_a_host_that_is_not_known_is_told_with_the_way_out(self, any_server, repository, known_hosts):
        known_hosts.write_text("")
        with pytest.raises(AuthenticationFailed, match="Nothing in known_hosts says") as caught:
            Git(Access.ambient(), timeout=60).resolve(any_server.url(repository.path), None)
        assert f"`ssh-keyscan -p {any_server.port} 127.0.0.1`" in str(caught.value)

    @pytest.mark.usefixtures("agent", "commit")
    def test_the_agent_is_not_asked_where_nothing_ambient_counts(self, any_server, repository, tmp_path):
        secret = make_secret(tmp_path / "secret", any_server)
        sshd.make_key(tmp_path / "other")
        (secret / "ssh-privatekey").write_text((tmp_path / "other").read_text())
        with pytest.raises(AuthenticationFailed, match="refused the SSH key"):
            connect(secret).resolve(any_server.url(repository.path), None)


def test_submodules_go_the_same_way(any_server, repository, tmp_path):
    """A relative address stays on the host, and so does the key."""
    library = repositories.create(tmp_path / "served" / "library")
    library.commit({"lib.py": "pass\n"})
    repository.add_submodule(library.uri, "vendor/library")
    repository.git("config", "--file", ".gitmodules", "submodule.vendor/library.url", "../library")
    git = connect(make_secret(tmp_path / "secret", any_server))
    git.fetch(any_server.url(repository.path), repository.commit({}), tmp_path / "out")
    assert (tmp_path / "out/vendor/library/lib.py").is_file()
