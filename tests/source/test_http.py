"""Against a real server that speaks HTTP and wants a password."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlp.errors import AuthenticationFailed, SourceInvalid, SourceNotFound, SourceUnavailable
from mlp.source import Access, Git
from tests.servers import git_http
from tests.source import repositories

PASSWORD = "hunter2-é'\"$(x)\\ y"


@pytest.fixture
def server(repository):
    accounts = git_http.Accounts({"bob": PASSWORD})
    with git_http.serving(repository.path.parent, accounts=accounts) as server:
        yield server


@pytest.fixture
def secret(tmp_path):
    directory = tmp_path / "it's a secret"
    directory.mkdir()
    (directory / "username").write_text("bob\n")
    (directory / "password").write_text(f"{PASSWORD}\n")
    return directory


@pytest.fixture
def git(secret):
    return Git(Access.scrubbed(credentials=secret, protocols=("http",)), timeout=60)


@pytest.fixture
def commit(repository):
    repository.commit({"history.bin": repositories.noise(400_000, 5)})
    repository.commit({"MLproject": "name: x\n", "sub/f": "1", "big.bin": repositories.noise(1_000_000, 3)})
    return repository.commit({"sub/g": "2"})


def wanted(name):
    return name == "MLproject"


def test_a_private_repository_is_resolved_read_and_fetched(server, git, repository, commit, tmp_path):
    uri = f"{server.url}/project"
    assert git.resolve(uri, "main").commit == commit
    before = server.sent
    assert git.read(uri, commit, wanted=wanted).text("MLproject") == "name: x\n"
    assert server.sent - before < 10_000
    before = server.sent
    git.fetch(uri, commit, tmp_path / "sparse", subdirectory="sub")
    assert server.sent - before > 1_000_000  # big.bin lies beside the subdirectory on the way down
    git.fetch(uri, commit, tmp_path / "whole")
    assert repositories.files_below(tmp_path / "whole") == repositories.files_below(repository.path)
    assert any(request.credentials for request in server.requests)


@pytest.mark.usefixtures("commit")
def test_one_request_to_the_server_finds_a_branch(server, git):
    git.resolve(f"{server.url}/project", "main")
    admitted = [request for request in server.requests if request.status == 200]
    assert [request.method for request in admitted] == ["GET", "POST"]


@pytest.mark.usefixtures("commit")
def test_a_wrong_password_is_told_with_the_way_out_and_not_repeated(server, git, secret):
    (secret / "password").write_text("wrong-pa55")
    with pytest.raises(AuthenticationFailed, match=r"Correct the Secret that spec\.project\.authSecretRef") as caught:
        git.resolve(f"{server.url}/project", "main")
    assert "wrong-pa55" not in str(caught.value)


@pytest.mark.usefixtures("commit")
def test_missing_credentials_are_told_with_the_way_out(server):
    with pytest.raises(AuthenticationFailed, match=r"name it in spec\.project\.authSecretRef"):
        Git(Access.scrubbed(protocols=("http",))).resolve(f"{server.url}/project", "main")


@pytest.mark.usefixtures("commit")
def test_missing_credentials_on_a_laptop_do_not_ask_where_nobody_answers(server):
    with pytest.raises(AuthenticationFailed, match="git ls-remote"):
        Git(Access.ambient(), timeout=20).resolve(f"{server.url}/project", "main")


def test_a_user_name_may_stand_in_the_uri(server, git, commit):
    assert git.resolve(server.url.replace("http://", "http://bob@") + "/project", "main").commit == commit


def test_a_secret_without_a_user_name_will_do_where_the_server_takes_any(repository, secret, commit):
    (secret / "username").unlink()
    accounts = git_http.Accounts({"git": PASSWORD})
    with git_http.serving(repository.path.parent, accounts=accounts) as server:
        git = Git(Access.scrubbed(credentials=secret, protocols=("http",)), timeout=60)
        assert git.resolve(f"{server.url}/project", None).commit == commit


@pytest.mark.usefixtures("commit")
def test_a_secret_of_the_wrong_kind_is_told_as_such(server, git, secret):
    (secret / "password").unlink()
    with pytest.raises(AuthenticationFailed, match="holds no password"):
        git.resolve(f"{server.url}/project", "main")
    (secret / "ssh-privatekey").write_text("x")
    with pytest.raises(AuthenticationFailed, match="holds only an SSH key"):
        git.resolve(f"{server.url}/project", "main")


@pytest.mark.usefixtures("commit")
def test_a_repository_that_is_not_there_is_told_as_such(server, git):
    with pytest.raises(SourceNotFound, match="There is no Git repository"):
        git.resolve(f"{server.url}/nix", "main")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, SourceNotFound),
        (429, SourceUnavailable),
        (500, SourceUnavailable),
        (503, SourceUnavailable),
    ],
)
def test_a_servers_answer_decides_whether_trying_again_can_help(server, git, commit, tmp_path, status, error):
    server.behaviour.status = status
    with pytest.raises(error):
        git.resolve(f"{server.url}/project", "main")
    with pytest.raises(error):
        git.read(f"{server.url}/project", commit, wanted=wanted)
    with pytest.raises(error):
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")


def test_a_server_that_cannot_be_reached_is_temporary(git):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="could not be reached") as caught:
        git.resolve(f"http://127.0.0.1:{port}/project", None)
    assert caught.value.temporary
    with pytest.raises(SourceUnavailable, match="Could not resolve host"):
        git.resolve("http://no-such-host.invalid/project", None)


def descendants(marker: str) -> set[int]:
    """Processes that were started with this in their environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def test_a_server_that_hangs_ends_at_the_deadline_and_leaves_no_process(
    server, secret, commit, tmp_path, monkeypatch, request
):
    # A scrubbed environment hands PATH on, which marks the processes.
    marker = f"/mlp-mark-{os.getpid()}-{id(request)}"
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{marker}")
    server.behaviour.delay = 60
    git = Git(Access.scrubbed(credentials=secret, protocols=("http",)), timeout=1)
    seen: set[int] = set()
    stop = threading.Event()

    def watch():
        while not stop.wait(0.05):
            seen.update(descendants(marker))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for call in (
            lambda: git.resolve(f"{server.url}/project", "main"),
            lambda: git.read(f"{server.url}/project", commit, wanted=wanted),
            lambda: git.fetch(f"{server.url}/project", commit, tmp_path / "out"),
        ):
            began = time.monotonic()
            with pytest.raises(SourceUnavailable, match="within 1 seconds"):
                call()
            assert time.monotonic() - began < 20
            assert descendants(marker) == set()
    finally:
        stop.set()
        watcher.join()
    assert len(seen) >= 6  # git and its child, three times: there was something to end
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("subdirectory", "filters"), [("sub", True), ("sub", False), ("", True)])
def test_a_server_of_protocol_0_serves_tips_and_history(
    server, git, repository, commit, tmp_path, subdirectory, filters
):
    server.behaviour.protocol_v2 = False
    server.behaviour.filters = filters
    uri = f"{server.url}/project"
    middle = repository.git("rev-parse", "main~1")
    assert git.resolve(uri, "main").commit == commit
    assert git.resolve(uri, middle).commit == middle
    assert git.resolve(uri, middle[:8]).ref == "refs/heads/main"
    for number, (wish, ref) in enumerate([(commit, "refs/heads/main"), (middle, "refs/heads/main"), (middle, None)]):
        out = tmp_path / str(number)
        git.fetch(uri, wish, out, ref=ref, subdirectory=subdirectory)
        assert repositories.Repository(out).git("rev-parse", "HEAD") == wish
        assert (out / "sub/f").is_file()
        assert (out / "sub/g").is_file() == (wish == commit)
        assert git.read(uri, wish, ref=ref, wanted=wanted).text("MLproject") == "name: x\n"


@pytest.mark.usefixtures("commit")
def test_an_unknown_commit_does_not_bring_the_whole_history(server, git, tmp_path):
    before = server.sent
    for call in (
        lambda: git.resolve(f"{server.url}/project", "f" * 40),
        lambda: git.fetch(f"{server.url}/project", "f" * 40, tmp_path / "out"),
    ):
        with pytest.raises(SourceNotFound, match="Unable to checkout version"):
            call()
    assert server.sent - before < 20_000


@pytest.mark.usefixtures("repository")
def test_the_password_shows_up_nowhere(server, git, commit, tmp_path):
    seen: set[bytes] = set()
    stop = threading.Event()

    def sample():
        while not stop.is_set():
            for name in (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()):
                if int(name) == os.getpid():
                    continue
                for part in ("cmdline", "environ"):
                    try:
                        seen.add(Path("/proc", name, part).read_bytes())
                    except OSError:
                        continue

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        server.behaviour.delay = 0.1
        git.resolve(f"{server.url}/project", "main")
        git.fetch(f"{server.url}/project", commit, tmp_path / "out", subdirectory="sub")
    finally:
        stop.set()
        sampler.join()
    assert any(b"git-remote-http" in text for text in seen)
    assert not any(b"hunter2" in text for text in seen)
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            assert b"hunter2" not in file.read_bytes(), file
    config = (tmp_path / "out/.git/config").read_text()
    assert "credential" not in config
    assert f"url = {server.url}/project" in config


def test_what_is_cloned_can_be_read_by_gitpython_as_mlflow_does(server, git, commit, tmp_path):
    import git as gitpython  # noqa: PLC0415 -- beside the fixture of the same name

    git.fetch(f"{server.url}/project", commit, tmp_path / "out", subdirectory="sub")
    with gitpython.Repo(tmp_path / "out/sub", search_parent_directories=True) as found:
        assert found.head.commit.hexsha == commit
        assert found.remotes.origin.url == f"{server.url}/project"


class TestSubmodules:
    @pytest.fixture
    def other(self, tmp_path):
        """Another host, which anybody may read, and which remembers whether it was shown credentials."""
        library = repositories.create(tmp_path / "elsewhere" / "library")
        library.commit({"lib.py": "pass\n"})
        with git_http.serving(library.path.parent) as server:
            yield server

    def with_submodule(self, repository, uri):
        library = repositories.create(repository.path.parent / "library")
        library.commit({"old.py": "pass\n"})
        library.commit({"lib.py": "pass\n"})
        repository.add_submodule(library.uri, "vendor/library")
        repository.git("config", "--file", ".gitmodules", "submodule.vendor/library.url", uri)
        return repository.commit({})

    def test_one_of_the_same_host_is_brought_with_the_same_credentials(self, server, git, repository, tmp_path):
        commit = self.with_submodule(repository, "../library")
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert (tmp_path / "out/vendor/library/lib.py").is_file()

    def test_one_of_a_server_that_serves_tips_only_is_brought_whole(self, server, git, repository, tmp_path):
        commit = self.with_submodule(repository, "../library")
        repositories.Repository(repository.path.parent / "library").commit({"newer.py": "pass\n"})
        server.behaviour.protocol_v2 = False
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert repositories.files_below(tmp_path / "out/vendor/library") == {"lib.py", "old.py"}

    def test_one_of_another_host_is_refused_by_name_and_never_asked(self, server, other, git, repository, tmp_path):
        address = other.url.replace("127.0.0.1", "localhost")
        commit = self.with_submodule(repository, f"{address}/library")
        with pytest.raises(SourceInvalid, match="submodule 'vendor/library' comes from another host, localhost"):
            git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert other.requests == []
        assert not (tmp_path / "out").exists()

    def test_a_relative_address_that_climbs_to_another_host_is_refused(self, server, other, git, repository, tmp_path):
        commit = self.with_submodule(repository, f"../../{other.url.removeprefix('http://')}/library")
        with pytest.raises(SourceInvalid, match="submodule 'vendor/library'"):
            git.fetch(f"{server.url.replace('127.0.0.1', 'localhost')}/project", commit, tmp_path / "out")
        assert other.requests == []

    def test_one_of_another_host_never_sees_the_credentials(self, server, other, repository, secret, tmp_path):
        library = repositories.Repository(tmp_path / "elsewhere" / "library")
        repository.add_submodule(library.uri, "library")
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", f"{other.url}/library")
        commit = repository.commit({})
        access = Access.scrubbed(credentials=secret, protocols=("http",), allow_other_hosts=True)
        Git(access, timeout=60).fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert (tmp_path / "out/library/lib.py").is_file()
        other.accounts.passwords["someone"] = "else"
        with pytest.raises(AuthenticationFailed):
            Git(access, timeout=60).fetch(f"{server.url}/project", commit, tmp_path / "again")
        assert other.requests
        assert not any(request.credentials for request in other.requests)


def test_the_server_runs_as_a_script_too(repository, commit, secret, git, tmp_path):
    script = Path(git_http.__file__)
    arguments = ["--root", repository.path.parent, "--user", "bob", "--password-file", secret / "password"]
    log = tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, "-I", script, *arguments, "--log", log], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = process.stdout.readline().strip()
            assert git.resolve(f"{url}/project", None).commit == commit
        finally:
            process.terminate()
    assert '"credentials": true' in log.read_text()
    assert "hunter2" not in log.read_text()


def test_a_large_repository_of_a_server_that_sends_no_parts_is_refused(server, secret, commit):
    access = Access.scrubbed(credentials=secret, protocols=("http",), largest_file=500_000)
    uri = f"{server.url}/project"
    # In parts it is small enough.
    assert Git(access, timeout=60).read(uri, commit, wanted=wanted).text("MLproject") == "name: x\n"
    server.behaviour.filters = False
    with pytest.raises(SourceInvalid, match="too large to be read here"):
        Git(access, timeout=60).read(uri, commit, wanted=wanted)
