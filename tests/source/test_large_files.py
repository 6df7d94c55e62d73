"""With the real git-lfs, against a server that keeps large files behind a password."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess

import pytest

from mlp.errors import AuthenticationFailed, SourceInvalid, SourceNotFound, SourceUnavailable
from mlp.source import Access, Git
from tests.cluster.fixtures import is_ci
from tests.servers import git_http, lfs, sshd
from tests.source import repositories

PASSWORD = "hunter2"
MODEL = repositories.noise(300_000, 7)
TABLE = b"a,b\n" * 50

needs_lfs = pytest.mark.skipif(not lfs.available() and not is_ci(), reason="there is no git-lfs on this machine")


@pytest.fixture
def store():
    return lfs.LargeFiles()


@pytest.fixture
def server(repository, store):
    accounts = git_http.Accounts({"bob": PASSWORD})
    with git_http.serving(repository.path.parent, accounts=accounts, lfs=store) as server:
        yield server


@pytest.fixture
def commit(repository, store):
    return repository.commit(
        {
            ".gitattributes": lfs.ATTRIBUTES,
            "MLproject": "name: x\n",
            "model.bin": store.put(MODEL),
            "sub/data/a, b*.bin": store.put(TABLE),
            "other/far.bin": store.put(b"far"),
        }
    )


@pytest.fixture
def secret(tmp_path):
    directory = tmp_path / "secret"
    directory.mkdir()
    (directory / "username").write_text("bob")
    (directory / "password").write_text(PASSWORD)
    return directory


def scrubbed(secret, **options):
    return Git(Access.scrubbed(credentials=secret, protocols=("http",), **options), timeout=60)


@pytest.fixture
def git(secret):
    return scrubbed(secret)


@needs_lfs
@pytest.mark.parametrize("way", ["scrubbed", "ambient"])
def test_contents_are_brought_by_the_same_access(server, store, git, commit, tmp_path, way):
    git = git if way == "scrubbed" else Git(Access.ambient("bob", PASSWORD), timeout=60)
    git.fetch(f"{server.url}/project", commit, tmp_path / "out")
    assert (tmp_path / "out/model.bin").read_bytes() == MODEL
    assert (tmp_path / "out/sub/data/a, b*.bin").read_bytes() == TABLE
    assert (tmp_path / "out/other/far.bin").read_bytes() == b"far"
    assert store.batches == [3]
    # Once in the work tree is enough.
    assert repositories.size_of(tmp_path / "out/.git") < 60_000
    config = (tmp_path / "out/.git/config").read_text()
    assert PASSWORD not in config
    assert "filter" not in config
    assert list((tmp_path / "out/.git").glob("hooks/*")) == []


@needs_lfs
def test_of_a_subdirectory_only_its_own_are_brought(server, store, git, commit, tmp_path):
    git.fetch(f"{server.url}/project", commit, tmp_path / "out", subdirectory="sub")
    assert (tmp_path / "out/sub/data/a, b*.bin").read_bytes() == TABLE
    assert not (tmp_path / "out/other").exists()
    assert len(store.fetched) == 2  # model.bin lies beside the subdirectory on the way down


BROKEN = "smudge = false\nprocess = no-such-program\nrequired = true\n"
SINGLE = "smudge = git-lfs smudge -- %f\n"
INSTALLED = "smudge = git-lfs smudge -- %f\nprocess = git-lfs filter-process\nrequired = true\n"


@needs_lfs
@pytest.mark.parametrize("filters", [BROKEN, INSTALLED, SINGLE], ids=["broken", "installed", "older"])
def test_filters_of_the_user_neither_help_nor_harm(server, store, commit, tmp_path, monkeypatch, filters):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[filter "lfs"]\n{filters}')
    monkeypatch.setenv("HOME", str(home))
    git = Git(Access.ambient("bob", PASSWORD), timeout=60)
    git.fetch(f"{server.url}/project", commit, tmp_path / "with")
    assert (tmp_path / "with/model.bin").read_bytes() == MODEL
    store.fetched.clear()
    git.fetch(f"{server.url}/project", commit, tmp_path / "without", lfs=False)
    assert (tmp_path / "without/model.bin").stat().st_size < 200
    assert store.fetched == []


def test_pointers_stay_where_contents_are_not_wanted_and_one_line_says_so(server, git, commit, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "mlp"):
        git.fetch(f"{server.url}/project", commit, tmp_path / "out", lfs=False)
    assert (tmp_path / "out/model.bin").read_text().startswith("version https://git-lfs")
    assert [record.getMessage() for record in caplog.records] == [
        "3 files stay pointers of Git LFS, as asked (the first is model.bin)"
    ]


@pytest.fixture
def without_client(tmp_path, monkeypatch):
    """A PATH with Git and what Git needs, and without git-lfs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh", "cat"):
        (programs / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(programs))


@pytest.mark.usefixtures("without_client")
def test_a_machine_without_the_client_is_told_what_to_install(server, git, commit, tmp_path):
    with pytest.raises(SourceInvalid, match="no program git-lfs") as caught:
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
    assert "'model.bin' of http://127.0.0.1" in str(caught.value)
    assert "an image that has the package git-lfs" in str(caught.value)
    assert "GIT_LFS_SKIP_SMUDGE=1" in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SourceInvalid, match="apt-get install git-lfs"):
        Git(Access.ambient("bob", PASSWORD), timeout=60).fetch(f"{server.url}/project", commit, tmp_path / "out")


@pytest.mark.usefixtures("without_client")
def test_a_project_without_large_files_does_not_need_the_client(server, git, repository, store, tmp_path, caplog):
    commit = repository.commit({"MLproject": "name: x\n", "tests/fixture.txt": store.put(b"a test's own")})
    git.fetch(f"{server.url}/project", commit, tmp_path / "out")
    # Without an attribute it is no pointer for Git either, only a file that looks like one.
    assert (tmp_path / "out/tests/fixture.txt").read_text() == store.put(b"a test's own")
    assert "tests/fixture.txt looks like a pointer of Git LFS" in caplog.text


@needs_lfs
@pytest.mark.parametrize("name", ["GIT_LFS_SKIP_SMUDGE", "GIT_LFS_SKIP_DOWNLOAD_ERRORS"])
def test_variables_for_other_checkouts_do_not_count(server, store, commit, tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    git = Git(Access.ambient("bob", PASSWORD), timeout=60)
    git.fetch(f"{server.url}/project", commit, tmp_path / "out")
    assert (tmp_path / "out/model.bin").read_bytes() == MODEL
    store.objects.clear()
    with pytest.raises(SourceNotFound, match="does not have the content"):
        git.fetch(f"{server.url}/project", commit, tmp_path / "again")


@needs_lfs
def test_those_of_a_submodule_are_brought_too(server, store, git, repository, tmp_path):
    library = repositories.create(repository.path.parent / "library")
    library.commit({".gitattributes": lfs.ATTRIBUTES, "weights/w.bin": store.put(TABLE)})
    repository.add_submodule(library.uri, "vendor/library")
    repository.git("config", "--file", ".gitmodules", "submodule.vendor/library.url", "../library")
    git.fetch(f"{server.url}/project", repository.commit({}), tmp_path / "out")
    assert (tmp_path / "out/vendor/library/weights/w.bin").read_bytes() == TABLE


@needs_lfs
def test_a_content_that_the_server_does_not_have_is_told(server, store, git, commit, tmp_path):
    store.objects.clear()
    with pytest.raises(SourceNotFound, match=r"does not have the content.*model\.bin.*git lfs push --all"):
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_lfs
def test_a_server_without_large_files_is_told(server, git, commit, tmp_path):
    server.lfs = None
    with pytest.raises(SourceNotFound, match="does not have the content"):
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")


@needs_lfs
def test_contents_that_want_other_credentials_are_told_with_the_way_out(server, store, git, commit, tmp_path):
    with git_http.serving(tmp_path, accounts=git_http.Accounts({"carol": "x"}), lfs=store) as elsewhere:
        store.elsewhere = elsewhere.url.replace("127.0.0.1", "localhost")
        with pytest.raises(AuthenticationFailed, match=r"Correct the Secret that spec\.project\.authSecretRef"):
            git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert elsewhere.requests
        assert not any(request.credentials for request in elsewhere.requests)
    assert not (tmp_path / "out").exists()


@needs_lfs
def test_a_server_may_keep_the_contents_on_another_which_sees_no_credentials(server, store, git, commit, tmp_path):
    with git_http.serving(tmp_path, lfs=store) as elsewhere:
        store.elsewhere = elsewhere.url.replace("127.0.0.1", "localhost")
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert (tmp_path / "out/model.bin").read_bytes() == MODEL
        assert len(elsewhere.requests) == 3
        assert not any(request.credentials for request in elsewhere.requests)


@needs_lfs
def test_a_content_that_is_not_what_its_pointer_says_is_refused(server, store, git, commit, tmp_path):
    name = next(name for name, content in store.objects.items() if content == MODEL)
    store.objects[name] = MODEL[:-1] + b"?"
    with pytest.raises(SourceUnavailable, match="could not be fetched from Git LFS"):
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
    assert not (tmp_path / "out").exists()


class TestConfigurationOfTheProject:
    """A project's author may name any server in the file .lfsconfig."""

    @pytest.fixture
    def elsewhere(self, tmp_path, store):
        with git_http.serving(tmp_path, lfs=store) as server:
            yield server

    def configured(self, repository, elsewhere, name="lfs.url"):
        url = elsewhere.url.replace("127.0.0.1", "localhost") + "/any/info/lfs"
        repository.git("config", "--file", ".lfsconfig", name, url)
        return repository.commit({})

    @needs_lfs
    @pytest.mark.usefixtures("commit")
    @pytest.mark.parametrize("name", ["lfs.url", "remote.origin.lfsurl"])
    def test_another_host_is_refused_and_never_asked(self, server, elsewhere, git, repository, tmp_path, name):
        commit = self.configured(repository, elsewhere, name)
        with pytest.raises(SourceInvalid, match=r"\.lfsconfig names another host, localhost"):
            git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert elsewhere.requests == []
        assert not (tmp_path / "out").exists()

    @needs_lfs
    @pytest.mark.usefixtures("commit")
    def test_another_host_that_is_allowed_sees_no_credentials(self, server, elsewhere, repository, secret, tmp_path):
        commit = self.configured(repository, elsewhere)
        git = scrubbed(secret, allow_other_hosts=True)
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert (tmp_path / "out/model.bin").read_bytes() == MODEL
        assert len(elsewhere.requests) == 4
        assert not any(request.credentials for request in elsewhere.requests)

    @needs_lfs
    @pytest.mark.usefixtures("commit")
    def test_contents_that_it_excludes_stay_pointers_and_one_line_says_so(
        self, server, git, repository, tmp_path, caplog
    ):
        commit = repository.commit({".lfsconfig": "[lfs]\nfetchexclude = other\n"})
        git.fetch(f"{server.url}/project", commit, tmp_path / "out")
        assert (tmp_path / "out/model.bin").read_bytes() == MODEL
        assert (tmp_path / "out/other/far.bin").read_text().startswith("version https://git-lfs")
        assert (
            "1 file stays a pointer of Git LFS, as the project's .lfsconfig asks (the first is other/far.bin)"
            in caplog.text
        )

    @needs_lfs
    @pytest.mark.usefixtures("commit")
    def test_it_cannot_ask_for_failures_to_be_passed_over(self, server, store, git, repository, tmp_path):
        commit = repository.commit({".lfsconfig": "[lfs]\nskipdownloaderrors = true\n"})
        store.objects.clear()
        with pytest.raises(SourceNotFound, match="does not have the content"):
            git.fetch(f"{server.url}/project", commit, tmp_path / "out")

    @needs_lfs
    @pytest.mark.usefixtures("commit")
    def test_one_that_cannot_be_read_is_told(self, server, git, repository, tmp_path):
        commit = repository.commit({".lfsconfig": "[lfs\nurl"})
        with pytest.raises(SourceInvalid, match=r"\.lfsconfig .* cannot be read"):
            git.fetch(f"{server.url}/project", commit, tmp_path / "out")


@needs_lfs
def test_a_version_of_ones_own_repository_takes_contents_from_there(repository, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    subprocess.run(["git", "lfs", "install", "--skip-repo"], check=True, capture_output=True)
    repository_with_filter = {"GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    monkeypatch.setitem(repositories.AUTHOR, "GIT_CONFIG_GLOBAL", repository_with_filter["GIT_CONFIG_GLOBAL"])
    commit = repository.commit({".gitattributes": lfs.ATTRIBUTES, "model.bin": MODEL})
    assert repository.git("cat-file", "-p", f"{commit}:model.bin").startswith("version https://git-lfs")
    Git(Access.ambient(), timeout=60).fetch(repository.uri, commit, tmp_path / "out")
    assert (tmp_path / "out/model.bin").read_bytes() == MODEL


@needs_lfs
@pytest.mark.skipif(not sshd.available() and not is_ci(), reason="there is no OpenSSH server on this machine")
def test_a_server_that_is_reached_by_ssh_tells_where_its_contents_are(repository, store, commit, tmp_path):
    programs, secret = tmp_path / "programs", tmp_path / "keys"
    for directory in (programs, secret, tmp_path / "sshd"):
        directory.mkdir()
    with (
        git_http.serving(repository.path.parent, accounts=git_http.Accounts({"x": "y"}), lfs=store) as web,
        sshd.serving(tmp_path / "sshd", accept_git_protocol=True, programs=programs) as server,
    ):
        store.headers = {"Authorization": "Basic eDp5"}
        told = {"href": f"{web.url}/project.git/info/lfs", "header": store.headers}
        program = programs / "git-lfs-authenticate"
        program.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
        program.chmod(0o755)
        (secret / "ssh-privatekey").write_text(server.private_key)
        (secret / "known_hosts").write_text(server.known_hosts)
        git = Git(Access.scrubbed(credentials=secret, protocols=("ssh",)), timeout=60)
        git.fetch(server.url(repository.path), commit, tmp_path / "out", subdirectory="sub")
    assert (tmp_path / "out/sub/data/a, b*.bin").read_bytes() == TABLE
