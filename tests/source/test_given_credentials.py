"""A user name and a password that a user gives for one run, beside the user's own configuration."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mlp.errors import AuthenticationFailed, SourceUnavailable, UsageError
from mlp.source import Access, Git
from mlp.source.credentials import Given, arrange_given
from tests.servers import git_http
from tests.source import repositories

PASSWORD = "hunter2-é'\"$(x)\\ y"


@pytest.fixture
def commit(repository):
    return repository.commit({"MLproject": "name: x\n", "sub/f": "1"})


@pytest.fixture
def server(repository):
    with git_http.serving(repository.path.parent, accounts=git_http.Accounts({"bob": PASSWORD})) as server:
        yield server


@pytest.fixture
def other(tmp_path):
    """Another server, with accounts of its own."""
    with git_http.serving(tmp_path / "served", accounts=git_http.Accounts({"carol": "s3cret"})) as server:
        yield server


@pytest.fixture
def own_helper(tmp_path, monkeypatch):
    """The user's own credential helper, which writes down what it is asked, and knows the account of `other`."""
    home = tmp_path / "home"
    home.mkdir()
    helper, asked = home / "helper", home / "asked"
    helper.write_text(
        f'#!/bin/sh\n{{ echo "$1"; cat; }} >> {asked}\n[ "$1" = get ] && echo username=carol && echo password=s3cret\n'
    )
    helper.chmod(0o755)
    (home / ".gitconfig").write_text(f"[credential]\nhelper = {helper}\n[user]\nname = Ada\n")
    monkeypatch.setenv("HOME", str(home))
    asked.touch()
    return asked


def connect(**given):
    return Git(Access.ambient(**given), timeout=60)


def test_they_open_a_private_repository(server, commit, tmp_path):
    git = connect(username="bob", password=PASSWORD)
    assert git.resolve(f"{server.url}/project", "main").commit == commit
    git.fetch(f"{server.url}/project", commit, tmp_path / "out", subdirectory="sub")
    assert (tmp_path / "out/sub/f").is_file()


def test_a_user_in_the_url_needs_no_other(server, commit):
    uri = server.url.replace("http://", "http://bob@") + "/project"
    assert connect(password=PASSWORD).resolve(uri, None).commit == commit


def test_a_token_alone_will_do(server, commit):
    server.accounts.passwords["oauth2"] = "glpat-123"
    for given in ({"token": "glpat-123"}, {"password": "glpat-123"}, {"username": "oauth2", "token": "glpat-123"}):
        assert connect(**given).resolve(f"{server.url}/project", None).commit == commit


@pytest.mark.parametrize(
    ("uri", "token", "user"),
    [
        ("https://github.com/o/p", "ghp_1", "x-access-token"),
        ("https://github.example.org/o/p", "ghp_1", "x-access-token"),
        ("https://gitlab.com/o/p", "glpat-1", "oauth2"),
        ("https://git.example.org:8443/o/p", "1", "oauth2"),
        ("https://bitbucket.org/o/p", "ATCTT1", "x-token-auth"),
        ("https://bitbucket.org/o/p", "ATATT1", "x-bitbucket-api-token-auth"),
        ("https://ada@dev.azure.com/o/p", "1", "ada"),
    ],
)
def test_the_user_beside_a_token_is_the_one_that_its_server_expects(uri, token, user):
    assert Given(None, token).user(uri) == user
    assert Given("me", token).user(uri) == "me"


def test_a_server_may_send_its_clients_on_to_itself_with_encryption(tmp_path):
    """As those do that listen without it only to name their other address."""
    config = arrange_given("http://git.example.org/p", Given("bob", "x"), tmp_path).config
    assert {key for key, _ in config} == {
        "credential.http://git.example.org.helper",
        "credential.https://git.example.org.helper",
    }


def test_a_password_and_a_token_exclude_each_other():
    with pytest.raises(UsageError, match="Both a Git password and a Git token"):
        Access.ambient(password="a", token="b")


def test_a_line_break_is_refused_because_git_would_take_the_rest_for_something_else():
    with pytest.raises(UsageError, match="line break") as caught:
        Access.ambient(username="bob", password="hunter2\nhost=evil.example")
    assert "hunter2" not in str(caught.value)


def test_nothing_given_is_as_if_nothing_could_be():
    assert Access.ambient(username="", password="", token=None) == Access.ambient()


def test_they_do_not_stand_in_what_python_shows_of_them():
    assert "hunter2" not in repr(Access.ambient(username="bob", password="hunter2"))


@pytest.mark.usefixtures("commit")
def test_wrong_ones_are_told_by_the_names_of_flags_and_variables(server):
    with pytest.raises(AuthenticationFailed, match="Correct --git-username and --git-password") as caught:
        connect(username="bob", password="wr0ng-pa55").resolve(f"{server.url}/project", None)
    assert "MLFLOW_GIT_USERNAME and MLFLOW_GIT_PASSWORD" in str(caught.value)
    assert "wr0ng-pa55" not in str(caught.value)


@pytest.mark.usefixtures("commit")
def test_missing_ones_are_told_by_the_names_of_flags_and_variables(server):
    with pytest.raises(AuthenticationFailed, match="Or give --git-username and --git-password"):
        connect().resolve(f"{server.url}/project", None)


def test_ssh_takes_none(tmp_path):
    for uri in ("git@git.example.org:p", "ssh://git@git.example.org/p"):
        with pytest.raises(AuthenticationFailed, match="reached by SSH, which takes a key") as caught:
            connect(username="bob", password="hunter2").fetch(uri, "0" * 40, tmp_path / "out")
        assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_repository_on_this_machine_needs_none(repository, commit):
    assert connect(username="bob", password=PASSWORD).resolve(repository.uri, None).commit == commit


def test_they_come_before_the_users_own_helpers_which_do_not_hear_of_them(server, commit, own_helper, tmp_path):
    config = Path(os.environ["HOME"]) / ".gitconfig"
    # Even one that the user has for just this repository.
    config.write_text(config.read_text() + f'[credential "{server.url}/project"]\nhelper = {config.parent}/helper\n')
    git = connect(username="bob", password=PASSWORD)
    git.fetch(f"{server.url}/project", git.resolve(f"{server.url}/project", "main").commit, tmp_path / "out")
    assert repositories.Repository(tmp_path / "out").git("rev-parse", "HEAD") == commit
    assert own_helper.read_text() == ""
    wrong = connect(username="bob", password="wrong")
    with pytest.raises(AuthenticationFailed):
        wrong.resolve(f"{server.url}/project", "main")
    assert own_helper.read_text() == ""


@pytest.mark.usefixtures("own_helper")
def test_without_any_the_users_own_helpers_are_asked(other, commit):
    assert connect().resolve(f"{other.url}/project", None).commit == commit


def test_a_user_without_a_password_is_for_the_helpers_to_complete(other, commit, own_helper):
    assert connect(username="carol").resolve(f"{other.url}/project", None).commit == commit
    assert "username=carol" in own_helper.read_text()


class TestOtherHosts:
    def test_a_server_that_sends_its_clients_on_does_not_pass_them_on(self, server, other, commit, own_helper):
        server.behaviour.redirect = other.url.replace("127.0.0.1", "localhost")
        assert connect(username="bob", password=PASSWORD).resolve(f"{server.url}/project", None).commit == commit
        assert "host=localhost" in own_helper.read_text()
        assert "hunter2" not in own_helper.read_text()
        other.accounts.passwords["bob"] = PASSWORD
        del other.accounts.passwords["carol"]
        with pytest.raises(AuthenticationFailed):
            connect(username="bob", password=PASSWORD).resolve(f"{server.url}/project", None)

    def test_a_submodule_of_another_host_is_brought_as_the_user_would(
        self, server, other, repository, own_helper, tmp_path
    ):
        library = repositories.create(tmp_path / "served" / "library")
        library.commit({"lib.py": "pass\n"})
        repository.add_submodule(library.uri, "library")
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", f"{other.url}/library")
        commit = repository.commit({})
        git = connect(username="bob", password=PASSWORD)
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert (tmp_path / "out/library/lib.py").is_file()
        assert "hunter2" not in own_helper.read_text()
        assert "username=bob" not in own_helper.read_text()

    def test_a_submodule_of_the_same_host_gets_them(self, server, repository, tmp_path):
        library = repositories.create(tmp_path / "served" / "library")
        library.commit({"lib.py": "pass\n"})
        repository.add_submodule(library.uri, "library")
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", "../library")
        commit = repository.commit({})
        connect(username="bob", password=PASSWORD).fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert (tmp_path / "out/library/lib.py").is_file()


def test_they_show_up_nowhere(server, commit, tmp_path, monkeypatch):
    """Not even where they came by the environment: that is ours, not Git's."""
    monkeypatch.setenv("MLFLOW_GIT_USERNAME", "bob")
    monkeypatch.setenv("MLFLOW_GIT_PASSWORD", PASSWORD)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    seen: set[bytes] = set()
    stop = threading.Event()

    def sample():
        while not stop.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    for part in ("cmdline", "environ"):
                        try:
                            seen.add((entry / part).read_bytes())
                        except OSError:
                            continue

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        server.behaviour.delay = 0.1
        connect(username="bob", password=PASSWORD).fetch(f"{server.url}/project", commit, tmp_path / "out")
    finally:
        stop.set()
        sampler.join()
    assert any(b"git-remote-http" in text for text in seen)
    assert not any(b"hunter2" in text for text in seen)
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or b"hunter2" not in file.read_bytes(), file
    assert "credential" not in (tmp_path / "out/.git/config").read_text()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.usefixtures("commit")
def test_the_files_that_git_reads_them_from_are_private_and_go_with_the_call(server, tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    # A git of our own on PATH looks at what the real one is given.
    program.write_text(f'#!/bin/sh\nstat -c "%a %n" "$PWD" "$PWD"/* >> {seen}\ncat password >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    # Even a program that tells what it was given is not quoted with it.
    with pytest.raises(SourceUnavailable, match=r"failed \(\*\*\*\)"):
        connect(username="bob", password=PASSWORD).resolve(f"{server.url}/project", None)
    modes = {Path(path).name: mode for mode, path in (line.split(" ", 1) for line in seen.read_text().splitlines())}
    assert modes["password"] == "600"
    assert modes["username"] == "600"
    assert all(not Path(line.split(" ", 1)[1]).exists() for line in seen.read_text().splitlines())
